import type { CorsPolicy } from "../../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { type HeaderLine, HeadersAction } from "../../proxy-wasm/index.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { withinEach } from "../refused-config.ts";
import { compileStringMatcher, type TextTest } from "../string-match.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";
import { isDrawn } from "./percent.ts";

/** A policy with the tests for origins. */
export interface CorsRules {
  readonly policy: CorsPolicy;
  readonly origins: readonly TextTest[];
}

/** Compiles Envoy's CorsPolicy. Throws RefusedConfig. */
export function compileCors(policy: CorsPolicy): CorsRules {
  const origins = withinEach(
    "allow_origin_string_match",
    policy.allowOriginStringMatch,
    compileStringMatcher,
  );
  return { policy, origins };
}

/** Answers preflight requests and marks responses, by the policy of the route. */
export function createCorsFilter(name: string): NativeFilter {
  return {
    createFor(stream) {
      let origin: string | undefined;
      let active: CorsPolicy | undefined;
      return {
        ...passThrough,
        onHeaders(direction, headers) {
          if (direction === "response") {
            if (active && origin !== undefined)
              for (const [key, value] of originLines(active, origin)) headers.set(key, value);
            if (active?.exposeHeaders) headers.set("access-control-expose-headers", active.exposeHeaders);
            return HeadersAction.Continue;
          }
          const config = rulesFor(stream, name);
          const asked = headers.get("origin");
          // As Envoy: only where there is something to forward to.
          if (stream.route()?.action.kind !== "forward") return HeadersAction.Continue;
          if (!config || asked === undefined || !isEnabled(config.policy)) return HeadersAction.Continue;
          const { policy, origins } = config;
          const isAllowed = origins.some((test) => test(asked));
          const isPreflight =
            headers.get(":method") === "OPTIONS" &&
            headers.get("access-control-request-method") !== undefined;
          if (isAllowed) [active, origin] = [policy, asked];
          if (!isPreflight || !(isAllowed || policy.forwardNotMatchingPreflights === false))
            return HeadersAction.Continue;
          const asksPrivate = headers.get("access-control-request-private-network") === "true";
          const lines = preflightLines(policy, isAllowed ? asked : undefined, asksPrivate);
          const reply = gatewayReply(200, "", "cors_response", "", lines);
          // As Envoy: a preflight is answered as a browser wants it, whatever it says of gRPC.
          stream.reply({ ...reply, isFinal: true, isPlain: true });
          return HeadersAction.StopAllIterationAndWatermark;
        },
      };
    },
  };
}

/** As Envoy: what the most specific policy leaves out, a less specific one may say. */
function rulesFor(stream: HttpStream, name: string): CorsRules | undefined {
  const all = stream.perFilters(name).flatMap((each) => (each.kind === "cors" ? [each.config] : []));
  const [first, ...others] = all;
  if (!first || others.length === 0) return first;
  const pick = <K extends keyof CorsPolicy>(field: K): CorsPolicy[K] =>
    all.map(({ policy }) => policy[field]).find((value) => value !== undefined && value !== "") ??
    first.policy[field];
  return {
    origins: all.find(({ origins }) => origins.length > 0)?.origins ?? [],
    policy: {
      ...first.policy,
      allowMethods: pick("allowMethods"),
      allowHeaders: pick("allowHeaders"),
      exposeHeaders: pick("exposeHeaders"),
      maxAge: pick("maxAge"),
      allowCredentials: pick("allowCredentials"),
      allowPrivateNetworkAccess: pick("allowPrivateNetworkAccess"),
      forwardNotMatchingPreflights: pick("forwardNotMatchingPreflights"),
    },
  };
}

function isEnabled({ filterEnabled }: CorsPolicy): boolean {
  return !filterEnabled || isDrawn(filterEnabled.defaultValue);
}

function originLines(policy: CorsPolicy, origin: string | undefined): HeaderLine[] {
  const lines: HeaderLine[] = origin === undefined ? [] : [["access-control-allow-origin", origin]];
  if (policy.allowCredentials) lines.push(["access-control-allow-credentials", "true"]);
  return lines;
}

function preflightLines(policy: CorsPolicy, origin: string | undefined, asksPrivate: boolean): HeaderLine[] {
  const lines = originLines(policy, origin);
  if (policy.allowMethods) lines.push(["access-control-allow-methods", policy.allowMethods]);
  if (policy.allowHeaders) lines.push(["access-control-allow-headers", policy.allowHeaders]);
  if (policy.maxAge) lines.push(["access-control-max-age", policy.maxAge]);
  if (asksPrivate && policy.allowPrivateNetworkAccess)
    lines.push(["access-control-allow-private-network", "true"]);
  return lines;
}
