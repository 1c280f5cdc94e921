import {
  type Permission,
  type Policy,
  type Principal,
  type RBAC,
  RBAC_Action,
} from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { RBAC as RbacFilter } from "../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { HeadersAction } from "../../proxy-wasm/index.ts";
import { compileHeaderMatcher } from "../header-match.ts";
import type { HttpStream } from "../http-stream.ts";
import { gatewayReply } from "../local-replies.ts";
import { withoutQuery } from "../path-match.ts";
import { refuse, within } from "../refused-config.ts";
import { compileStringMatcher } from "../string-match.ts";
import type { NativeFilter } from "./native-filter.ts";
import { passThrough } from "./pass-through.ts";

type StreamTest = (stream: HttpStream) => boolean;

/** Compiles the rules of a filter; undefined where they let everything pass. Throws RefusedConfig. */
export function compileRbac({ rules, matcher }: RbacFilter): StreamTest | undefined {
  if (matcher) return refuse("matcher", "is not supported");
  return rules && compileRules(rules);
}

/** Says whether a stream is let through. */
function compileRules({ action, policies }: RBAC): StreamTest {
  const matches = Object.entries(policies).map(([name, policy]) =>
    within(`rules.policies["${name}"]`, () => compilePolicy(policy)),
  );
  const isMatched: StreamTest = (stream) => matches.some((test) => test(stream));
  if (action === RBAC_Action.LOG) return () => true;
  return action === RBAC_Action.ALLOW ? isMatched : (stream) => !isMatched(stream);
}

function compilePolicy({ permissions, principals, condition, checkedCondition }: Policy): StreamTest {
  if (condition || checkedCondition) refuse("condition", "is not supported");
  const may = permissions.map(compilePermission);
  const who = principals.map(compilePrincipal);
  return (stream) => may.some((test) => test(stream)) && who.some((test) => test(stream));
}

function compilePermission({ rule }: Permission): StreamTest {
  switch (rule.case) {
    case "any":
      return () => true;
    case "andRules":
      return every(rule.value.rules.map(compilePermission));
    case "orRules":
      return some(rule.value.rules.map(compilePermission));
    case "notRule":
      return not(compilePermission(rule.value));
    case "header":
      return headerTest(compileHeaderMatcher(rule.value));
    case "urlPath":
      return pathTest(rule.value.rule);
    case "destinationPort": {
      const port = rule.value;
      return ({ downstream }) => downstream.connection.localPort === port;
    }
    default:
      return refuse("permissions", `${rule.case ?? "an empty rule"} is not supported`);
  }
}

function compilePrincipal({ identifier: by }: Principal): StreamTest {
  switch (by.case) {
    case "any":
      return () => true;
    case "andIds":
      return every(by.value.ids.map(compilePrincipal));
    case "orIds":
      return some(by.value.ids.map(compilePrincipal));
    case "notId":
      return not(compilePrincipal(by.value));
    case "header":
      return headerTest(compileHeaderMatcher(by.value));
    case "urlPath":
      return pathTest(by.value.rule);
    default:
      return refuse("principals", `${by.case ?? "an empty identifier"} is not supported`);
  }
}

type PathRule = Extract<Permission["rule"], { case: "urlPath" }>["value"]["rule"];

function pathTest(rule: PathRule): StreamTest {
  if (rule.case !== "path") return refuse("url_path", "path is required");
  const test = compileStringMatcher(rule.value);
  return ({ chain }) => test(withoutQuery(chain.request.headers?.get(":path") ?? ""));
}

function headerTest(test: ReturnType<typeof compileHeaderMatcher>): StreamTest {
  return ({ chain }) => chain.request.headers !== undefined && test(chain.request.headers);
}

const every =
  (tests: readonly StreamTest[]): StreamTest =>
  (stream) =>
    tests.every((test) => test(stream));
const some =
  (tests: readonly StreamTest[]): StreamTest =>
  (stream) =>
    tests.some((test) => test(stream));
const not =
  (test: StreamTest): StreamTest =>
  (stream) =>
    !test(stream);

const denied = gatewayReply(403, "RBAC: access denied", "rbac_access_denied_matched_policy[none]", "");

/** Denies what the rules do not allow: those of the route, or the filter's own. */
export function createRbacFilter(name: string, own: StreamTest | undefined): NativeFilter {
  return {
    createFor: (stream) => ({
      ...passThrough,
      onHeaders(direction) {
        if (direction === "response") return HeadersAction.Continue;
        const test = rulesFor(stream, name, own);
        if (!test || test(stream)) return HeadersAction.Continue;
        stream.reply(denied);
        return HeadersAction.StopAllIterationAndWatermark;
      },
    }),
  };
}

const ofRoutes = new WeakMap<object, { readonly test: StreamTest | undefined }>();

function rulesFor(stream: HttpStream, name: string, own: StreamTest | undefined): StreamTest | undefined {
  const config = stream.perFilter(name);
  if (config?.kind === "disabled") return undefined;
  if (config?.kind !== "rbac") return own;
  let known = ofRoutes.get(config);
  if (!known) {
    const { rbac } = config.config;
    known = { test: rbac && compileRbac(rbac) };
    ofRoutes.set(config, known);
  }
  return known.test;
}
