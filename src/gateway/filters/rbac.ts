import { type Policy, type RBAC, RBAC_Action } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { RBAC as RbacFilter } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { refuse, within, withinEach } from "../refused-config.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";
import { compilePermission, compilePrincipal, type StreamTest } from "./rbac-match.ts";

/** Says by which policy a stream is denied: its name, or `none`; undefined where it is let through. */
export type RbacTest = (stream: HttpStream) => string | undefined;

/** Compiles the rules of a filter; undefined where they let everything pass. Throws RefusedConfig. */
export function compileRbac({
  rules,
  matcher,
  shadowRules,
  shadowMatcher,
}: RbacFilter): RbacTest | undefined {
  if (matcher || shadowMatcher) return refuse("matcher", "is not supported");
  // They change nothing but counters; what they say has to be right all the same.
  if (shadowRules) within("shadow_rules", () => compileRules(shadowRules));
  return rules && within("rules", () => compileRules(rules));
}

function compileRules({ action, policies }: RBAC): RbacTest {
  // As Envoy: of those that match, the first by name counts.
  const names = Object.keys(policies).sort();
  const tests = names.map((name) =>
    within(`policies["${name}"]`, () => ({ name, test: compilePolicy(policies[name]!) })),
  );
  const matched = (stream: HttpStream) => tests.find(({ test }) => test(stream))?.name;
  if (action === RBAC_Action.LOG) return () => undefined;
  if (action === RBAC_Action.DENY) return matched;
  return (stream) => (matched(stream) === undefined ? "none" : undefined);
}

function compilePolicy({ permissions, principals, condition, checkedCondition }: Policy): StreamTest {
  if (condition || checkedCondition) refuse("condition", "is not supported");
  const may = withinEach("permissions", permissions, compilePermission);
  const who = withinEach("principals", principals, compilePrincipal);
  return (stream) => may.some((test) => test(stream)) && who.some((test) => test(stream));
}

/** Denies what the rules do not allow: those of the route, or the filter's own. */
export function createRbacFilter(name: string, own: RbacTest | undefined): NativeFilter {
  return {
    createFor: (stream) => ({
      ...passThrough,
      onHeaders(direction) {
        if (direction === "response") return HeadersAction.Continue;
        const ofRoute = stream.perFilter(name);
        const test = ofRoute?.kind === "rbac" ? ofRoute.test : own;
        const policy = test?.(stream);
        if (policy === undefined) return HeadersAction.Continue;
        const details = `rbac_access_denied_matched_policy[${policy.replace(/\s/g, "_")}]`;
        stream.reply(gatewayReply(403, "RBAC: access denied", details));
        return HeadersAction.StopAllIterationAndWatermark;
      },
    }),
  };
}
