import type { CorsPolicy } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import { type HeaderLine, HeadersAction } from "../../proxy-wasm/index.ts";
import { gatewayReply } from "../local-replies.ts";
import { compileStringMatcher, type TextTest } from "../string-match.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

interface CompiledPolicy {
  readonly policy: CorsPolicy;
  readonly origins: readonly TextTest[];
}

const compiled = new WeakMap<CorsPolicy, CompiledPolicy>();

function compilePolicy(policy: CorsPolicy): CompiledPolicy {
  let known = compiled.get(policy);
  if (!known) {
    known = { policy, origins: policy.allowOriginStringMatch.map(compileStringMatcher) };
    compiled.set(policy, known);
  }
  return known;
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
              for (const [key, value] of originLines(active, origin)) headers.replace(key, value);
            if (active?.exposeHeaders) headers.replace("access-control-expose-headers", active.exposeHeaders);
            return HeadersAction.Continue;
          }
          const config = stream.perFilter(name);
          const asked = headers.get("origin");
          if (config?.kind !== "cors" || asked === undefined || !isEnabled(config.config))
            return HeadersAction.Continue;
          const { policy, origins } = compilePolicy(config.config);
          const isAllowed = origins.some((test) => test(asked));
          const isPreflight =
            headers.get(":method") === "OPTIONS" &&
            headers.get("access-control-request-method") !== undefined;
          if (!isPreflight || !(isAllowed || policy.forwardNotMatchingPreflights === false)) {
            if (isAllowed) [active, origin] = [policy, asked];
            return HeadersAction.Continue;
          }
          const lines = isAllowed ? preflightLines(policy, asked) : [];
          stream.reply(gatewayReply(200, "", "cors_response", "", lines));
          return HeadersAction.StopAllIterationAndWatermark;
        },
      };
    },
  };
}

function isEnabled({ enabledSpecifier }: CorsPolicy): boolean {
  return (
    enabledSpecifier.case !== "filterEnabled" || (enabledSpecifier.value.defaultValue?.numerator ?? 0) > 0
  );
}

function originLines(policy: CorsPolicy, origin: string): HeaderLine[] {
  const lines: HeaderLine[] = [["access-control-allow-origin", origin]];
  if (policy.allowCredentials) lines.push(["access-control-allow-credentials", "true"]);
  return lines;
}

function preflightLines(policy: CorsPolicy, origin: string): HeaderLine[] {
  const lines = originLines(policy, origin);
  if (policy.allowMethods) lines.push(["access-control-allow-methods", policy.allowMethods]);
  if (policy.allowHeaders) lines.push(["access-control-allow-headers", policy.allowHeaders]);
  if (policy.maxAge) lines.push(["access-control-max-age", policy.maxAge]);
  return lines;
}
