import { isDeepStrictEqual } from "node:util";
import type { Case, Expectation, Line, MessageExpectation, StreamCase } from "./case-file.ts";
import type { CaseResult, Received, StreamResult } from "./case-result.ts";

/** A place at which a case's result is not as expected. */
export interface Failure {
  readonly path: string;
  readonly expected: unknown;
  readonly actual: unknown;
}

/** Compares what a case's `expect` has with its result; only what is written is compared. */
export function findFailures(test: Case, result: CaseResult): Failure[] {
  const { start = "ok" } = test.expect ?? {};
  const streams: readonly StreamCase[] = [test, ...(test.then ?? [])];
  return [
    ...equal("start", start, result.start),
    ...streams.flatMap(({ expect = {} }, i) => {
      const prefix = i === 0 ? "" : `then[${i - 1}].`;
      return [
        ...streamFailures(expect, result.streams[i]),
        ...(i === 0 || expect.logs || expect.calls ? sharedFailures(expect, result) : []),
      ].map((failure) => ({ ...failure, path: `${prefix}${failure.path}` }));
    }),
  ];
}

function streamFailures(expect: Expectation, stream: StreamResult | undefined): Failure[] {
  const { request, response, local, details } = expect;
  return [
    ...(request ? messageFailures("request", request, stream?.request) : []),
    ...(response ? messageFailures("response", response, stream?.response) : []),
    ...(local ? localFailures(local, stream) : []),
    ...(details === undefined ? [] : equal("details", details, stream?.details)),
  ];
}

function messageFailures(path: string, expect: MessageExpectation, actual: Received | undefined): Failure[] {
  const { action, body, trailers } = expect;
  return [
    ...(action ? equal(`${path}.action`, action, actual ? "continue" : "pause") : []),
    ...headerFailures(path, expect, actual?.headers),
    ...(body === undefined ? [] : equal(`${path}.body`, body, actual?.body)),
    ...(trailers === undefined ? [] : equal(`${path}.trailers`, trailers, actual?.trailers)),
  ];
}

function headerFailures(
  path: string,
  { headers, hasHeaders = [], lacksHeaders = [] }: MessageExpectation,
  actual: readonly Line[] | undefined,
): Failure[] {
  const has = (line: Line) => actual?.some((each) => isDeepStrictEqual(each, line));
  return [
    ...(headers === undefined ? [] : equal(`${path}.headers`, headers, actual)),
    ...hasHeaders.filter((line) => !has(line)).map((line) => fail(`${path}.hasHeaders`, line, actual)),
    ...lacksHeaders
      .filter((name) => actual?.some(([each]) => each === name))
      .map((name) => fail(`${path}.lacksHeaders`, name, actual)),
  ];
}

function localFailures(
  expect: NonNullable<Expectation["local"]>,
  stream: StreamResult | undefined,
): Failure[] {
  const response = stream?.local ? stream.response : undefined;
  const status = response?.headers.find(([name]) => name === ":status")?.[1];
  const withoutStatus = response && {
    ...response,
    headers: response.headers.filter(([name]) => name !== ":status"),
  };
  return [
    ...(expect.status === undefined ? [] : equal("local.status", String(expect.status), status)),
    ...headerFailures("local", expect, withoutStatus?.headers),
    ...(expect.body === undefined ? [] : equal("local.body", expect.body, response?.body)),
    ...(expect.details === undefined ? [] : equal("local.details", expect.details, stream?.details)),
  ];
}

function sharedFailures(expect: Expectation, result: CaseResult): Failure[] {
  const { calls, logs = [], allLogs, noLogs = [], metrics = {} } = expect;
  const messages = result.logs.map(({ message }) => message);
  return [
    ...(calls ? callFailures(calls, result) : []),
    ...logFailures(logs, result),
    ...(allLogs ? equal("allLogs", allLogs, messages) : []),
    ...noLogs
      .filter((text) => messages.some((message) => message.includes(text)))
      .map((text) => fail("noLogs", text, messages)),
    ...Object.entries(metrics).flatMap(([name, value]) =>
      equal(`metrics.${name}`, value, result.metrics[name]),
    ),
  ];
}

function callFailures(calls: NonNullable<Expectation["calls"]>, result: CaseResult): Failure[] {
  return [
    ...equal("calls.length", calls.length, result.calls.length),
    ...calls.flatMap((expect, i) => {
      const actual = result.calls[i];
      return [
        ...(expect.upstream === undefined
          ? []
          : equal(`calls[${i}].upstream`, expect.upstream, actual?.upstream)),
        ...messageFailures(`calls[${i}]`, expect, actual),
      ];
    }),
  ];
}

/** Each expected line must come after the one before it. */
function logFailures(logs: NonNullable<Expectation["logs"]>, result: CaseResult): Failure[] {
  let at = 0;
  for (const [i, { level, contains }] of logs.entries()) {
    const found = result.logs.findIndex(
      (line, n) => n >= at && line.message.includes(contains) && (!level || line.level === level),
    );
    if (found < 0) return [fail(`logs[${i}]`, { level, contains }, result.logs)];
    at = found + 1;
  }
  return [];
}

const fail = (path: string, expected: unknown, actual: unknown): Failure => ({ path, expected, actual });

function equal(path: string, expected: unknown, actual: unknown): Failure[] {
  return isDeepStrictEqual(expected, actual) ? [] : [fail(path, expected, actual)];
}
