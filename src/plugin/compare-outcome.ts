import type { CaseOutcome, LogOutcome } from "./outcome.ts";
import type { Expectation, ExpectedLog, ExpectedMessage, HeaderPair } from "./test-file.ts";

/** One difference between what a case expects and what came of it. */
export interface Failure {
  /** Below `expect`, as `request.headers`. */
  readonly path: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** The parts of messages, local responses and calls that can be compared. */
interface Part {
  readonly action?: string;
  readonly status?: number;
  readonly upstream?: string;
  readonly details?: string;
  readonly headers?: readonly HeaderPair[];
  readonly body?: Uint8Array;
  readonly trailers?: readonly HeaderPair[];
}

/** Compares all that a case expects, and only that. An empty list says that it passed. */
export function compareOutcome(expect: Expectation, outcome: CaseOutcome): Failure[] {
  // A case that says nothing of the start still needs one.
  const { start = "ok" } = expect;
  if (start !== outcome.start)
    return [{ path: "start", expected: start, actual: withReason(outcome.start, outcome.failure) }];
  return [
    ...compareMessage("request", expect.request, outcome.request),
    ...compareMessage("response", expect.response, outcome.response),
    ...compareLocal(expect.local, outcome),
    ...compareCalls(expect, outcome),
    ...compareLogs(expect.logs ?? [], outcome.logs),
    ...Object.entries(expect.metrics ?? {}).flatMap(([name, value]) =>
      same(`metrics.${name}`, value, outcome.metrics.get(name)),
    ),
    ...Object.entries(expect.properties ?? {}).flatMap(([name, value]) =>
      same(`properties.${name}`, value, outcome.property(name)),
    ),
  ];
}

function withReason(start: string, failure: string | undefined): string {
  return failure === undefined ? start : `${start}: ${failure}`;
}

function compareMessage(path: string, expected: ExpectedMessage | undefined, actual: Part | undefined) {
  if (!expected) return [];
  if (!actual) return [{ path, expected: shown(expected), actual: "nothing: the case did not get there" }];
  return comparePart(path, expected, actual);
}

function compareLocal(expected: Expectation["local"], { local }: CaseOutcome): Failure[] {
  if (expected === undefined) return [];
  if (expected === "none") return local ? [{ path: "local", expected: "none", actual: shown(local) }] : [];
  if (!local) return [{ path: "local", expected: shown(expected), actual: "none" }];
  return comparePart("local", expected, local);
}

function compareCalls({ calls }: Expectation, outcome: CaseOutcome): Failure[] {
  if (!calls) return [];
  if (calls.length !== outcome.calls.length)
    return [{ path: "calls", expected: calls.map(shown), actual: outcome.calls.map(shown) }];
  return calls.flatMap((call, index) => comparePart(`calls[${index}]`, call, outcome.calls[index]!));
}

function comparePart(
  path: string,
  expected: Part & { readonly hasHeaders?: readonly HeaderPair[] },
  actual: Part,
): Failure[] {
  const { hasHeaders, body, ...rest } = expected;
  return [
    ...Object.entries(rest).flatMap(([key, value]) =>
      same(`${path}.${key}`, lowerNames(value), lowerNames(actual[key as keyof Part])),
    ),
    ...(hasHeaders ? compareSubset(`${path}.hasHeaders`, hasHeaders, actual.headers ?? []) : []),
    ...(body ? same(`${path}.body`, bodyText(body), bodyText(actual.body ?? new Uint8Array())) : []),
  ];
}

/** Names of headers are the same in any letter case. */
function lowerNames(value: unknown): unknown {
  if (!Array.isArray(value)) return value;
  return (value as HeaderPair[]).map(([name, content]) => [name.toLowerCase(), content]);
}

function compareSubset(path: string, expected: readonly HeaderPair[], actual: readonly HeaderPair[]) {
  const left = new Map<string, number>();
  const key = ([name, value]: HeaderPair) => JSON.stringify([name.toLowerCase(), value]);
  for (const pair of actual) left.set(key(pair), (left.get(key(pair)) ?? 0) + 1);
  const missing = expected.filter((pair) => {
    const count = left.get(key(pair)) ?? 0;
    left.set(key(pair), count - 1);
    return count <= 0;
  });
  return missing.length === 0 ? [] : [{ path, expected: missing, actual }];
}

/** Each expected line is there, in their order; others may stand between them. */
function compareLogs(expected: readonly ExpectedLog[], actual: readonly LogOutcome[]): Failure[] {
  let next = 0;
  for (const [index, line] of expected.entries()) {
    const found = actual.findIndex((one, at) => at >= next && fits(line, one));
    if (found < 0) return [{ path: `logs[${index}]`, expected: line, actual: actual.slice(next) }];
    next = found + 1;
  }
  return [];
}

function fits({ level, contains }: ExpectedLog, line: LogOutcome): boolean {
  return (level === undefined || level === line.level) && line.message.includes(contains ?? "");
}

function same(path: string, expected: unknown, actual: unknown): Failure[] {
  return JSON.stringify(expected) === JSON.stringify(actual) ? [] : [{ path, expected, actual }];
}

/** A part with its body as text, for a report. */
function shown(part: Part): object {
  return part.body ? { ...part, body: bodyText(part.body) } : part;
}

/** Text where it is UTF-8, else bytes as `base64:…`. */
function bodyText(body: Uint8Array): string {
  const bytes = Buffer.from(body);
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : `base64:${bytes.toString("base64")}`;
}
