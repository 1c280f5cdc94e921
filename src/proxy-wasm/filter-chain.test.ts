import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { Action, BodyAction, HeadersAction } from "./abi.ts";
import type { Body } from "./body.ts";
import type { LocalResponse } from "./context.ts";
import { HeaderMap } from "./header-map.ts";
import type { FilterCallbacks, FilterFactory, HttpFilter } from "./http-filter.ts";
import { MemoryStream, type Message } from "./memory-stream.ts";
import type { Direction } from "./stream-host.ts";

interface Script {
  readonly name: string;
  readonly log?: string[];
  readonly headers?: (direction: Direction, callbacks: FilterCallbacks) => HeadersAction;
  readonly data?: (direction: Direction, body: Body, end: boolean, callbacks: FilterCallbacks) => BodyAction;
  readonly trailers?: (direction: Direction) => Action;
}

/** A filter that does what a test says and writes what it saw; the callbacks of the last stream are kept. */
function filter(script: Script): FilterFactory & { callbacks?: FilterCallbacks } {
  const { name, log = [] } = script;
  const factory: FilterFactory & { callbacks?: FilterCallbacks } = {
    createFilter(callbacks): HttpFilter {
      factory.callbacks = callbacks;
      return {
        onHeaders(direction, _headers, end) {
          log.push(`${name} ${direction} headers${end ? " end" : ""}`);
          return script.headers?.(direction, callbacks) ?? HeadersAction.Continue;
        },
        onData(direction, body, end) {
          log.push(`${name} ${direction} ${Buffer.from(body.bytes())}${end ? " end" : ""}`);
          return script.data?.(direction, body, end, callbacks) ?? BodyAction.Continue;
        },
        onTrailers(direction) {
          log.push(`${name} ${direction} trailers`);
          return script.trailers?.(direction) ?? Action.Continue;
        },
        onLog: () => void log.push(`${name} log`),
        onDestroy: () => void log.push(`${name} destroy`),
      };
    },
  };
  return factory;
}

/** What a request must have, and what a response must have. */
const both = [
  [":method", "GET"],
  [":status", "200"],
] as const;
const message = (...body: string[]): Message => ({ headers: both, body });
const ofRequest = <T>(direction: Direction, request: T, response: T) =>
  direction === "request" ? request : response;
const plain = (status: number, body = ""): LocalResponse => ({
  status,
  headers: [],
  body: Buffer.from(body),
  grpcStatus: undefined,
  details: "why",
});

test("requests pass filters in order, responses in reverse order", () => {
  const log: string[] = [];
  const stream = new MemoryStream([filter({ name: "a", log }), filter({ name: "b", log })]);
  stream.sendRequest(message("x"));
  stream.sendResponse(message());
  stream.end();
  stream.end();
  const request = ["a request headers", "b request headers", "a request x end", "b request x end"];
  const response = ["b response headers end", "a response headers end"];
  assert.deepEqual(log, [...request, ...response, "a log", "b log", "a destroy", "b destroy"]);
});

test("a filter that stops all holds headers and body, and sees the body when it goes on", () => {
  const log: string[] = [];
  const a = filter({ name: "a", log, headers: () => HeadersAction.StopAllIterationAndWatermark });
  const stream = new MemoryStream([a, filter({ name: "b", log })]);
  stream.sendRequest({ ...message("x", "y"), trailers: [["t", "1"]] });
  assert.deepEqual([log, stream.request], [["a request headers"], undefined]);
  a.callbacks!.resume("request");
  assert.deepEqual(log.slice(1), [
    "b request headers",
    "a request xy",
    "b request xy",
    "a request trailers",
    "b request trailers",
  ]);
  assert.deepEqual([stream.request!.body.toString(), stream.request!.trailers], ["xy", [["t", "1"]]]);
});

test("a filter that stops its headers sees the whole body before the next one sees anything", () => {
  const log: string[] = [];
  const a = filter({
    name: "a",
    log,
    headers: (direction) => ofRequest(direction, HeadersAction.StopIteration, HeadersAction.Continue),
    data: (_direction, _body, end) => (end ? BodyAction.Continue : BodyAction.StopIterationAndBuffer),
  });
  const stream = new MemoryStream([a, filter({ name: "b", log })]);
  stream.sendRequest(message("x", "y", "z"));
  assert.deepEqual(log, [
    "a request headers",
    "a request x",
    "a request xy",
    "a request xyz end",
    "b request headers",
    "b request xyz end",
  ]);
  assert.equal(stream.request!.body.toString(), "xyz");
});

test("a header-only request that was stopped ends when it goes on", () => {
  const a = filter({ name: "a", headers: () => HeadersAction.StopIteration });
  const stream = new MemoryStream([a]);
  stream.sendRequest(message());
  a.callbacks!.resume("request");
  assert.deepEqual([stream.request!.complete, stream.request!.body.length], [true, 0]);
  a.callbacks!.resume("request");
  assert.ok(stream.request!.complete);
});

test("going on within the callback that stops is going on at once", () => {
  const resume = (direction: Direction, callbacks: FilterCallbacks) => {
    callbacks.resume(direction);
    return HeadersAction.StopAllIterationAndBuffer;
  };
  const stream = new MemoryStream([filter({ name: "a", headers: resume })]);
  stream.sendRequest(message("x"));
  assert.equal(stream.request!.body.toString(), "x");
});

test("a local response of the second filter passes both, and nothing goes upstream", () => {
  const log: string[] = [];
  const b = filter({
    name: "b",
    log,
    headers(direction, callbacks) {
      if (direction === "request") callbacks.sendLocalResponse(plain(403, "no"));
      return HeadersAction.Continue;
    },
  });
  const stream = new MemoryStream([filter({ name: "a", log }), b, filter({ name: "c", log })]);
  stream.sendRequest(message("x"));
  stream.end();
  const seen = [
    "c response headers",
    "b response headers",
    "a response headers",
    "c response no end",
    "b response no end",
    "a response no end",
  ];
  assert.deepEqual(log.slice(0, 8), ["a request headers", "b request headers", ...seen]);
  assert.deepEqual([stream.request, stream.details], [undefined, "why"]);
  assert.deepEqual(stream.response!.headers, [
    [":status", "403"],
    ["content-length", "2"],
    ["content-type", "text/plain"],
  ]);
});

test("a local response to a response that has begun passes no filter; after headers were sent the stream is reset", () => {
  const log: string[] = [];
  const late = (at: "headers" | "data"): FilterFactory =>
    filter({
      name: "b",
      log,
      headers(direction, callbacks) {
        if (direction === "response" && at === "headers") callbacks.sendLocalResponse(plain(502));
        return HeadersAction.Continue;
      },
      data(_direction, _body, _end, callbacks) {
        callbacks.sendLocalResponse(plain(502));
        return BodyAction.Continue;
      },
    });
  for (const at of ["headers", "data"] as const) {
    log.length = 0;
    const stream = new MemoryStream([filter({ name: "a", log }), late(at)]);
    stream.sendRequest(message());
    stream.sendResponse(message("x", "y"));
    assert.ok(!log.some((line) => line.startsWith("a response x")));
    assert.equal(stream.isReset, at === "data");
    assert.equal(new Map(stream.response!.headers).get(":status"), at === "headers" ? "502" : "200");
    stream.end();
  }
});

test("what the upstream answers after a local response is dropped", () => {
  const stream = new MemoryStream([filter({ name: "a" })]);
  stream.sendRequest(message());
  stream.chain.sendLocalResponse(plain(504, "slow"));
  stream.sendResponse(message("too late"));
  assert.equal(stream.response!.body.toString(), "slow");
});

test("holding more than the limit fails the stream; up to the watermark it makes the source wait", () => {
  const held = filter({
    name: "a",
    data: (direction) => ofRequest(direction, BodyAction.StopIterationAndBuffer, BodyAction.Continue),
  });
  const big = new MemoryStream([held], { bufferLimitBytes: 4 });
  big.sendRequest(message("1234", "5"));
  assert.deepEqual(
    [big.response!.headers[0], big.details],
    [[":status", "413"], "request_payload_too_large"],
  );

  const bigResponse = new MemoryStream(
    [
      filter({
        name: "a",
        headers: (direction) => ofRequest(direction, HeadersAction.Continue, HeadersAction.StopIteration),
        data: () => BodyAction.StopIterationAndBuffer,
      }),
    ],
    { bufferLimitBytes: 4 },
  );
  bigResponse.sendRequest({ headers: both });
  bigResponse.sendResponse(message("12345"));
  assert.deepEqual(
    [bigResponse.response!.headers[0], bigResponse.details],
    [[":status", "500"], "response_payload_too_large"],
  );

  const waiting = filter({ name: "a", data: () => BodyAction.StopIterationAndWatermark });
  const stream = new MemoryStream([waiting], { bufferLimitBytes: 4 });
  stream.sendRequest(message("12345", "6"));
  assert.deepEqual([...stream.paused], ["request"]);
  waiting.callbacks!.resume("request");
  assert.deepEqual([[...stream.paused], stream.request!.body.toString()], [[], "123456"]);
});

test("trailers that a filter makes from the end of a body reach the filters behind it and the other side", () => {
  const log: string[] = [];
  const maker = filter({
    name: "a",
    log,
    data(direction, _body, end, callbacks) {
      if (end) callbacks.addTrailers(direction).add("made", "1");
      return BodyAction.Continue;
    },
  });
  const stream = new MemoryStream([maker, filter({ name: "b", log })]);
  stream.sendRequest(message("x"));
  assert.deepEqual(log, [
    "a request headers",
    "b request headers",
    "a request x end",
    "b request x",
    "b request trailers",
  ]);
  assert.deepEqual([stream.request!.trailers, stream.request!.complete], [[["made", "1"]], true]);
});

test("a stream that ends in the middle leaves nothing behind", () => {
  const log: string[] = [];
  const a = filter({ name: "a", log, headers: () => HeadersAction.StopAllIterationAndBuffer });
  const stream = new MemoryStream([a]);
  stream.sendRequest(message("x"));
  stream.end();
  a.callbacks!.resume("request");
  a.callbacks!.sendLocalResponse(plain(500));
  stream.sendRequest(message("y"));
  assert.deepEqual(
    [log, stream.request, stream.response],
    [["a request headers", "a log", "a destroy"], undefined, undefined],
  );
});

const headersActions = [0, 0, 1, 3, 4] as const;
const bodyActions = [0, 0, 1, 2] as const;
const scripts = fc.record({
  headers: fc.constantFrom(...headersActions),
  data: fc.array(fc.constantFrom(...bodyActions), { minLength: 1, maxLength: 6 }),
  trailers: fc.constantFrom(0, 1),
  resumes: fc.array(fc.nat(12), { maxLength: 4 }),
});

test("whatever filters hold and whenever they go on, each sees all of it in order, and so does the other side", () => {
  const property = fc.property(
    fc.array(scripts, { minLength: 1, maxLength: 4 }),
    fc.array(fc.string({ maxLength: 5 }), { maxLength: 6 }),
    fc.boolean(),
    fc.constantFrom<Direction>("request", "response"),
    (plans, parts, withTrailers, direction) => {
      const filters = plans.map(({ headers, data, trailers }, name) => {
        let count = 0;
        const here = (action: number, of: Direction) => (of === direction ? action : 0);
        return filter({
          name: String(name),
          headers: (of) => here(headers, of) as HeadersAction,
          data: (of) => here(data[count++ % data.length]!, of) as BodyAction,
          trailers: (of) => here(trailers, of) as Action,
        });
      });
      const stream = new MemoryStream(filters);
      let step = 0;
      const resumeDue = () => {
        for (const [i, { resumes }] of plans.entries())
          if (resumes.includes(step)) filters[i]!.callbacks!.resume(direction);
        step++;
      };
      feed(stream, direction, parts, withTrailers, resumeDue);
      for (let left = 100; left > 0 && !stream[direction]?.complete; left--)
        for (const each of filters)
          if (each.callbacks!.isStopped(direction)) each.callbacks!.resume(direction);
      const came = stream[direction];
      assert.deepEqual(
        [came?.complete, came?.body.toString(), came?.trailers],
        [true, parts.join(""), withTrailers ? [["t", "1"]] : undefined],
      );
      stream.end();
    },
  );
  fc.assert(property, { numRuns: fuzzRuns(3000) });
});

/** Sends a message part by part, with something done in between. */
function feed(
  stream: MemoryStream,
  direction: Direction,
  parts: readonly string[],
  withTrailers: boolean,
  between: () => void,
): void {
  if (direction === "response") stream.sendRequest({ headers: both });
  const { chain } = stream;
  const [headers, data, trailers] =
    direction === "request"
      ? [chain.requestHeaders, chain.requestData, chain.requestTrailers]
      : [chain.responseHeaders, chain.responseData, chain.responseTrailers];
  headers.call(chain, HeaderMap.from(both), parts.length === 0 && !withTrailers);
  between();
  for (const [i, part] of parts.entries()) {
    data.call(chain, Buffer.from(part), i === parts.length - 1 && !withTrailers);
    between();
  }
  if (withTrailers) trailers.call(chain, HeaderMap.from([["t", "1"]]));
  between();
}
