import {
  createStores,
  type Direction,
  FilterChain,
  HeaderMap,
  type Heartbeat,
  LogLevel,
  type Outside,
  type Plugin,
  type StreamHost,
  type VmObserver,
} from "../proxy-wasm/index.ts";
import { type CaseOutside, caseProperty, createCaseOutside } from "./case-outside.ts";
import { headerLines } from "./case-text.ts";
import { anyRequest, bodyOf, type CasePlugin, startPlugin } from "./run-case.ts";
import type { PluginTestCase, TestMessage } from "./test-file.ts";

/** One part of a stream's life, of a stream on average. */
export interface PhaseFigures {
  readonly name: string;
  /** Of the fastest round and of the one in the middle. */
  readonly minNs: number;
  readonly medianNs: number;
  readonly hostCalls: number;
}

export interface BenchFigures {
  readonly streams: number;
  readonly rounds: number;
  readonly phases: readonly PhaseFigures[];
  readonly memoryBytes: number;
  /** What a stream adds to the memory of the guest, after the warm-up. */
  readonly growthBytesPerStream: number;
  /** Why the plugin was lost, if it was. */
  readonly failure: string | undefined;
}

export interface BenchSize {
  /** In each round. */
  readonly streams: number;
  readonly rounds: number;
}

/** A stream in the making. */
interface BenchStream {
  readonly chain: FilterChain;
  readonly outside: CaseOutside;
  readonly maps: Readonly<Record<"request" | "response", HeaderMap>>;
}

interface Phase {
  readonly name: string;
  run(stream: BenchStream): void;
}

/** Streams that are under way together: a phase of all of them is timed at once, as a clock costs more than a phase. */
const batchSize = 50;

/**
 * Measures what host and guest do for a stream, phase by phase, without any network. Answers to calls come at once.
 * @throws SystemError `plugin-start`
 */
export function benchCase(
  test: PluginTestCase,
  plugin: CasePlugin,
  heartbeat: Heartbeat | undefined,
  { streams, rounds }: BenchSize,
): BenchFigures {
  const phases = phasesOf(test);
  const bench = createBench(test, plugin, { heartbeat });
  bench.run(phases, streams);
  const before = bench.plugin.status().memoryBytes;
  const times = Array.from({ length: rounds }, () => bench.run(phases, streams));
  const starts = Array.from({ length: rounds }, () => timeStart(test, plugin, heartbeat));
  const { memoryBytes, failure } = bench.plugin.status();
  const counts = countHostCalls(test, plugin, phases);
  return {
    streams,
    rounds,
    phases: [
      { name: "start", ...middle(starts), hostCalls: counts[0]! },
      ...phases.map(({ name }, i) => ({
        name,
        ...middle(times.map((round) => round[i]! / streams)),
        hostCalls: counts[i + 1]!,
      })),
    ],
    memoryBytes,
    growthBytesPerStream: (memoryBytes - before) / (streams * rounds),
    failure,
  };
}

function createBench(
  test: PluginTestCase,
  casePlugin: CasePlugin,
  watch: { readonly heartbeat?: Heartbeat; readonly observer?: VmObserver },
) {
  const stores = createStores({ maxBytes: 1024 * 1024 });
  let current = createCaseOutside(test, stores);
  const outside: Outside = {
    ...current,
    logLevel: () => LogLevel.Info,
    log: () => {},
    httpCall: (call, done) => current.httpCall(call, done),
    redisCall: (upstream, query, done) => current.redisCall(upstream, query, done),
    resolveDns: (name, done) => current.resolveDns(name, done),
    grpcCall: (call, events) => current.grpcCall(call, events),
    grpcStream: (method, events) => current.grpcStream(method, events),
  };
  const plugin = startPlugin(test, casePlugin, watch, outside);
  current.settle();
  return { plugin, run };

  /** Takes streams through the phases; gives the time of each, of all streams together, in nanoseconds. */
  function run(phases: readonly Phase[], streams: number): number[] {
    const times = phases.map(() => 0);
    for (let left = streams; left > 0; left -= batchSize) {
      const batch = Array.from({ length: Math.min(left, batchSize) }, createStream);
      for (const [i, phase] of phases.entries()) {
        const begin = process.hrtime.bigint();
        for (const stream of batch) {
          current = stream.outside;
          phase.run(stream);
          current.settle();
        }
        times[i]! += Number(process.hrtime.bigint() - begin);
      }
    }
    return times;
  }

  function createStream(): BenchStream {
    const mapOf = (message: TestMessage | undefined) => HeaderMap.from(headerLines(message?.headers ?? []));
    return {
      chain: new FilterChain([plugin], createQuietHost(test)),
      outside: createCaseOutside(test, stores),
      maps: { request: mapOf(test.request ?? anyRequest), response: mapOf(test.response) },
    };
  }
}

function phasesOf({ request = anyRequest, response }: PluginTestCase): readonly Phase[] {
  return [
    ...messagePhases("request", request),
    ...(response ? messagePhases("response", response) : []),
    { name: "log, done, delete", run: ({ chain }) => chain.end() },
  ];
}

function messagePhases(direction: Direction, message: TestMessage): readonly Phase[] {
  const body = bodyOf(message);
  const { trailers } = message;
  const send = senders[direction];
  const headers: Phase = {
    name: `${direction} headers`,
    run: ({ chain, maps }) => send.headers(chain, maps[direction], body.length === 0 && !trailers),
  };
  const parts: Phase = {
    name: `${direction} body`,
    run({ chain }) {
      for (const [i, part] of body.entries()) send.data(chain, part, i === body.length - 1 && !trailers);
    },
  };
  const end: Phase = {
    name: `${direction} trailers`,
    run: ({ chain }) => send.trailers(chain, HeaderMap.from(headerLines(trailers ?? []))),
  };
  return [headers, ...(body.length > 0 ? [parts] : []), ...(trailers ? [end] : [])];
}

interface Sender {
  headers(chain: FilterChain, map: HeaderMap, endOfStream: boolean): void;
  data(chain: FilterChain, bytes: Uint8Array, endOfStream: boolean): void;
  trailers(chain: FilterChain, map: HeaderMap): void;
}

const senders: Readonly<Record<Direction, Sender>> = {
  request: {
    headers: (chain, map, end) => chain.requestHeaders(map, end),
    data: (chain, bytes, end) => chain.requestData(bytes, end),
    trailers: (chain, map) => chain.requestTrailers(map),
  },
  response: {
    headers: (chain, map, end) => chain.responseHeaders(map, end),
    data: (chain, bytes, end) => chain.responseData(bytes, end),
    trailers: (chain, map) => chain.responseTrailers(map),
  },
};

/** A host that takes everything and keeps nothing. */
function createQuietHost(test: PluginTestCase): StreamHost {
  const ignore = () => {};
  return {
    sendHeaders: ignore,
    sendData: ignore,
    sendTrailers: ignore,
    reset: ignore,
    setPaused: ignore,
    clearRouteCache: ignore,
    property: (path) => caseProperty(test, path),
  };
}

function timeStart(test: PluginTestCase, casePlugin: CasePlugin, heartbeat: Heartbeat | undefined): number {
  const outside = createCaseOutside(test, createStores({ maxBytes: 1024 * 1024 }));
  const begin = process.hrtime.bigint();
  const plugin: Plugin = startPlugin(test, casePlugin, { heartbeat }, outside);
  const time = Number(process.hrtime.bigint() - begin);
  plugin.close();
  return time;
}

/** The host functions that the start and each phase of one stream call. */
function countHostCalls(test: PluginTestCase, casePlugin: CasePlugin, phases: readonly Phase[]): number[] {
  let calls = 0;
  const counts: number[] = [];
  const next = () => {
    counts.push(calls);
    calls = 0;
  };
  const observer: VmObserver = {
    callback: (_name, call) => call,
    hostFunction:
      (_module, _name, call) =>
      (...parameters) => {
        calls++;
        return call(...parameters);
      },
  };
  const bench = createBench(test, casePlugin, { observer });
  next();
  const counted = phases.map((phase) => ({
    ...phase,
    run(stream: BenchStream) {
      phase.run(stream);
      stream.outside.settle();
      next();
    },
  }));
  bench.run(counted, 1);
  return counts;
}

function middle(values: readonly number[]): Pick<PhaseFigures, "minNs" | "medianNs"> {
  const sorted = values.toSorted((a, b) => a - b);
  return { minNs: Math.round(sorted[0]!), medianNs: Math.round(sorted[sorted.length >> 1]!) };
}
