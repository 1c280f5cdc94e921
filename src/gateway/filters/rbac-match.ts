import type { Permission, Principal } from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type { PathMatcher } from "../../gen/envoy/type/matcher/v3/path_pb.ts";
import { compileHeaderMatcher } from "../header-match.ts";
import type { HttpStream } from "../http-stream.ts";
import { compileRange } from "../ip-ranges.ts";
import { withoutQuery } from "../path-match.ts";
import { refuse, within, withinEach } from "../refused-config.ts";
import { compileStringMatcher } from "../string-match.ts";

/** Whether a stream is meant. */
export type StreamTest = (stream: HttpStream) => boolean;

/** Compiles what is asked for. */
export function compilePermission({ rule }: Permission): StreamTest {
  switch (rule.case) {
    case "any":
      return () => true;
    case "andRules":
      return every(withinEach("and_rules", rule.value.rules, compilePermission));
    case "orRules":
      return some(withinEach("or_rules", rule.value.rules, compilePermission));
    case "notRule":
      return not(within("not_rule", () => compilePermission(rule.value)));
    case "header":
      return within("header", () => headerTest(compileHeaderMatcher(rule.value)));
    case "urlPath":
      return within("url_path", () => pathTest(rule.value));
    case "destinationPort": {
      const port = rule.value;
      return ({ downstream }) => downstream.connection.localPort === port;
    }
    case "destinationPortRange": {
      const { start, end } = rule.value;
      return ({ downstream: { connection } }) => connection.localPort >= start && connection.localPort < end;
    }
    case "destinationIp": {
      const test = within("destination_ip", () => compileRange(rule.value));
      return ({ downstream }) => test(downstream.connection.localAddress);
    }
    case "requestedServerName": {
      const test = within("requested_server_name", () => compileStringMatcher(rule.value));
      return ({ downstream }) => test(downstream.connection.tls?.serverName ?? "");
    }
    default:
      return refuse("", `${rule.case ?? "an empty rule"} is not supported`);
  }
}

/** Compiles who asks. */
export function compilePrincipal({ identifier: by }: Principal): StreamTest {
  switch (by.case) {
    case "any":
      return () => true;
    case "andIds":
      return every(withinEach("and_ids", by.value.ids, compilePrincipal));
    case "orIds":
      return some(withinEach("or_ids", by.value.ids, compilePrincipal));
    case "notId":
      return not(within("not_id", () => compilePrincipal(by.value)));
    case "header":
      return within("header", () => headerTest(compileHeaderMatcher(by.value)));
    case "urlPath":
      return within("url_path", () => pathTest(by.value));
    case "authenticated":
      if (by.value.principalName) refuse("authenticated.principal_name", "is not supported");
      return ({ downstream }) => downstream.connection.tls?.isMutual ?? false;
    case "remoteIp": {
      const test = within("remote_ip", () => compileRange(by.value));
      return ({ downstream }) => test(downstream.connection.remoteAddress);
    }
    case "sourceIp":
    case "directRemoteIp": {
      const test = within("direct_remote_ip", () => compileRange(by.value));
      return ({ downstream }) => test(downstream.connection.directAddress);
    }
    default:
      return refuse("", `${by.case ?? "an empty identifier"} is not supported`);
  }
}

function pathTest({ rule }: PathMatcher): StreamTest {
  if (rule.case !== "path") return refuse("path", "is required");
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
