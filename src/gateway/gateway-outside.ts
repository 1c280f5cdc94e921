import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import type { Log } from "../log.ts";
import {
  type Cancel,
  createLocalOutside,
  LogLevel,
  type LogRecord,
  type Outside,
  type PropertyValue,
  type Stores,
} from "../proxy-wasm/index.ts";
import { createRedisUpstream, type RedisUpstream } from "../redis/upstream.ts";
import type { ActiveClusters } from "./active-clusters.ts";
import { callGrpc, streamGrpc } from "./grpc-calls.ts";
import { callHttp } from "./http-calls.ts";
import { createLastWords } from "./last-words.ts";

export interface GatewayOutsideOptions {
  readonly clusters: ActiveClusters;
  readonly stores: Stores;
  readonly log: Log;
  readonly logLevel: () => LogLevel;
  /** What plugins write; left out, it goes to the log. */
  readonly onPluginLog?: (record: LogRecord) => void;
  /** A plugin that was serving has lost its Vm. */
  readonly onPluginTrap?: (plugin: string, reason: string) => void;
  readonly property?: (path: readonly string[]) => PropertyValue | undefined;
  readonly signal: AbortSignal;
}

/** What plugins reach beyond their streams: the gateway's clusters. */
export function createGatewayOutside(options: GatewayOutsideOptions): Outside {
  const { clusters, stores, log, logLevel } = options;
  const redis = createRedisCalls(options);
  const write = options.onPluginLog ?? ((record: LogRecord) => writeRecord(log, record));
  const words = createLastWords();
  const note = (record: LogRecord) => {
    words.note(record);
    write(record);
  };
  return {
    ...createLocalOutside({ stores, log: note }),
    logLevel,
    pluginLost: (plugin, reason) => options.onPluginTrap?.(plugin, words.explain(plugin, reason)),
    ...(options.property && { property: options.property }),
    httpCall: (call, done) => callHttp(clusters, call, done),
    grpcCall: (call, events) => callGrpc(clusters, call, events),
    grpcStream: (method, events) => streamGrpc(clusters, method, events),
    ...redis,
    resolveDns: (name, done) => resolve(name, done),
  };
}

const maxRedisConnections = 4;

function createRedisCalls({ clusters, log, signal }: GatewayOutsideOptions) {
  const upstreams = new Map<
    string,
    { readonly key: string; readonly redis: RedisUpstream; timeoutMs: number }
  >();
  return {
    redisInit(init: Parameters<Outside["redisInit"]>[0]): boolean {
      const { upstream, username, password, timeoutMs } = init;
      if (!clusters.find(upstream)) return false;
      const key = JSON.stringify([username, password]);
      const known = upstreams.get(upstream);
      if (known?.key === key) {
        known.timeoutMs = timeoutMs;
        return true;
      }
      const redis = createRedisUpstream({
        connect: () => {
          const endpoint = clusters.find(upstream)?.balancer.choose(undefined);
          return connect(endpoint?.port ?? 0, endpoint?.address ?? "127.0.0.1");
        },
        username,
        password,
        timeoutMs,
        maxConnections: maxRedisConnections,
        log,
        signal,
      });
      upstreams.set(upstream, { key, redis, timeoutMs });
      return true;
    },
    redisCall(
      upstream: string,
      query: Uint8Array,
      done: (answer: Uint8Array | undefined) => void,
    ): Cancel | "unknown-upstream" {
      const known = upstreams.get(upstream);
      if (!known) return "unknown-upstream";
      let open = true;
      known.redis.call(query, known.timeoutMs).then(
        (answer) => open && done(answer),
        () => open && done(undefined),
      );
      return () => {
        open = false;
      };
    },
  };
}

const dnsTtlSeconds = 60;

function resolve(name: string, done: Parameters<Outside["resolveDns"]>[1]): Cancel {
  let open = true;
  lookup(name, { all: true }).then(
    (found) => open && done(found.map(({ address }) => ({ address, ttlSeconds: dnsTtlSeconds }))),
    () => open && done([]),
  );
  return () => {
    open = false;
  };
}

function writeRecord(log: Log, { level, plugin, message }: LogRecord): void {
  const fields = { plugin };
  if (level >= LogLevel.Error) log.error(fields, message);
  else if (level === LogLevel.Warn) log.warn(fields, message);
  else if (level === LogLevel.Info) log.info(fields, message);
  else log.debug(fields, message);
}
