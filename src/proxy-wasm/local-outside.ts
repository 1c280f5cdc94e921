import { LogLevel as Levels, type LogLevel } from "./abi.ts";
import type {
  Cancel,
  GrpcCall,
  GrpcEvents,
  GrpcMethod,
  GrpcStream,
  HttpAnswer,
  HttpCall,
  LogRecord,
  Outside,
  RedisUpstream,
} from "./outside.ts";
import { createStores, type Stores } from "./stores.ts";

/** What answers plugins' calls when there is no network. A kind of call that is left out knows no upstream. */
export interface LocalOutsideOptions {
  readonly stores?: Stores;
  readonly logLevel?: LogLevel;
  readonly log?: (record: LogRecord) => void;
  /** Whether there is an upstream of that name; left out, there is. */
  readonly hasUpstream?: (name: string) => boolean;
  /** Undefined: the call fails. A promise that does not settle: it takes too long. */
  readonly httpCall?: (call: HttpCall) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>;
  readonly grpcCall?: (call: GrpcCall, events: GrpcEvents) => Cancel;
  readonly grpcStream?: (method: GrpcMethod, events: GrpcEvents) => GrpcStream;
  readonly redisInit?: (upstream: RedisUpstream) => boolean;
  readonly redisCall?: (
    upstream: string,
    query: Uint8Array,
  ) => Uint8Array | undefined | Promise<Uint8Array | undefined>;
}

/** The outside of tests and of checks: this machine's clock, and calls that functions answer. */
export function createLocalOutside(options: LocalOutsideOptions = {}): Outside {
  const { stores = createStores(), logLevel = Levels.Info, hasUpstream = () => true } = options;
  return {
    stores,
    now: () => BigInt(Date.now()) * 1_000_000n,
    monotonicNow: () => process.hrtime.bigint(),
    setTimer(ms, fire) {
      const timer = setTimeout(fire, Math.min(ms, 2 ** 31 - 1));
      return () => clearTimeout(timer);
    },
    logLevel: () => logLevel,
    log: (record) => options.log?.(record),
    httpCall(call, done) {
      const { httpCall } = options;
      return httpCall && hasUpstream(call.upstream)
        ? answer(() => httpCall(call), done, setTimeoutOf(call.timeoutMs), timedOut)
        : "unknown-upstream";
    },
    grpcCall: (call, events) => options.grpcCall?.(call, deferred(events)) ?? "unknown-upstream",
    grpcStream: (method, events) => options.grpcStream?.(method, deferred(events)) ?? "unknown-upstream",
    redisInit: (upstream) => options.redisInit?.(upstream) ?? options.redisCall !== undefined,
    redisCall(upstream, query, done) {
      const { redisCall } = options;
      return redisCall && hasUpstream(upstream)
        ? answer(() => redisCall(upstream, query), done)
        : "unknown-upstream";
    },
    resolveDns: (_name, done) =>
      answer(
        () => [],
        (addresses) => done(addresses ?? []),
      ),
  };
}

/** What Envoy's router answers for an upstream that takes too long. */
const timedOut: HttpAnswer = {
  headers: [
    [":status", "504"],
    ["content-length", "24"],
    ["content-type", "text/plain"],
  ],
  body: Buffer.from("upstream request timeout"),
  trailers: [],
};

/** Runs a function and reports what it gave, later and once; undefined if it threw, `late` if it took too long. */
function answer<T>(
  run: () => T | undefined | Promise<T | undefined>,
  done: (value: T | undefined) => void,
  startTimeout: (expire: () => void) => Cancel = () => () => {},
  late?: T,
): Cancel {
  let open = true;
  const finish = (value: T | undefined) => {
    if (!open) return;
    close();
    done(value);
  };
  const cancelTimeout = startTimeout(() => finish(late));
  const close = () => {
    open = false;
    cancelTimeout();
  };
  const start = async () => run();
  start().then(finish, () => finish(undefined));
  return close;
}

function setTimeoutOf(ms: number | undefined): (expire: () => void) => Cancel {
  return (expire) => {
    const timer = ms === undefined ? undefined : setTimeout(expire, ms);
    return () => clearTimeout(timer);
  };
}

/** Events that come when nothing else runs, in their order. */
function deferred(events: GrpcEvents): GrpcEvents {
  const post = (run: () => void) => void setImmediate(run);
  return {
    initialMetadata: (lines) => post(() => events.initialMetadata(lines)),
    message: (bytes) => post(() => events.message(bytes)),
    trailingMetadata: (lines) => post(() => events.trailingMetadata(lines)),
    close: (status, text) => post(() => events.close(status, text)),
  };
}
