import { compareOutcome, type Failure } from "../../src/plugin/compare-outcome.ts";
import type { CaseOutcome, LocalOutcome, MessageOutcome } from "../../src/plugin/outcome.ts";
import type {
  Expectation,
  ExpectedLocal,
  ExpectedMessage,
  HeaderPair,
  PluginTestCase,
} from "../../src/plugin/test-file.ts";
import type { Received } from "../guests/case-result.ts";
import type { Exchange } from "./plugin-envoy.ts";

/**
 * Compares an exchange through Envoy with what a case expects, as far as both sides of the proxy can tell: an action by
 * what got through, a request that was answered in place of the upstream by the upstream having got nothing.
 */
export function compareExchange({ expect }: PluginTestCase, exchange: Exchange): Failure[] {
  const { request, response, local } = expect;
  const answered = typeof local === "object";
  const stopped = answered && response === undefined;
  const seen: Expectation = {
    ...(request && !stopped ? { request: withoutAction(request) } : {}),
    ...(response && !answered ? { response: withoutAction(response) } : {}),
    ...(answered ? { local: withoutEmptyType(local) } : local ? { local } : {}),
  };
  const failures = compareOutcome(seen, outcomeOf(exchange, answered ? local : undefined));
  if (!stopped || !exchange.request) return failures;
  return [...failures, { path: "request", expected: "nothing at the upstream", actual: exchange.request }];
}

function withoutAction({ action: _, ...message }: ExpectedMessage): ExpectedMessage {
  return message;
}

/** Envoy takes the type from an answer without a body. */
function withoutEmptyType({ headers, ...local }: ExpectedLocal): ExpectedLocal {
  const isEmptyType = ([name, value]: HeaderPair) => name.toLowerCase() === "content-type" && value === "";
  return { ...local, ...(headers ? { headers: headers.filter((line) => !isEmptyType(line)) } : {}) };
}

function outcomeOf({ request, response, details }: Exchange, expected?: ExpectedLocal): CaseOutcome {
  return {
    start: "ok",
    ...(request ? { request: messageOf(request) } : {}),
    ...(response ? { response: messageOf(response) } : {}),
    ...(details === "via_upstream" ? {} : { local: localOf(response, details, expected) }),
    calls: [],
    logs: [],
    metrics: new Map(),
    property: () => undefined,
  };
}

function messageOf({ headers, body }: Received): MessageOutcome {
  return { action: "continue", headers, body: Buffer.from(body), trailers: [] };
}

/** The answer without the lines that Envoy gives every answer of a filter that has none of them. */
function localOf(
  { headers, body }: Received = { headers: [], body: "", trailers: [] },
  details: string,
  expected?: ExpectedLocal,
): LocalOutcome {
  const given = new Set(expected?.headers?.map(([name]) => name.toLowerCase()));
  const isMade = ([name]: HeaderPair) =>
    given.has(name) || ![":status", "content-length", "content-type"].includes(name);
  return {
    status: Number(headers.find(([name]) => name === ":status")?.[1] ?? 0),
    headers: headers.filter(isMade),
    body: Buffer.from(body),
    details,
  };
}
