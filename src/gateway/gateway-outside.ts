import { lookup } from "node:dns/promises";
import { connect } from "node:net";
import type { Log } from "../log.ts";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import {
  type Cancel,
  createLocalOutside,
  type GrpcCall,
  type HttpAnswer,
  type HttpCall,
  LogLevel,
  type LogRecord,
  type Outside,
  type PropertyValue,
  type Stores,
} from "../proxy-wasm/index.ts";
import { createRedisUpstream, type RedisUpstream } from "../redis/upstream.ts";
import type { ActiveClusters } from "./active-clusters.ts";
import { Forwarding } from "./forwarding.ts";
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

/** What a plugin's call may answer, in bytes. */
const maxAnswerBytes = 64 * 1024 * 1024;

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
    httpCall: (call, done) => callOverCluster(clusters, call, done),
    grpcCall: (call, events) => {
      const cluster = clusters.find(clusterName(call));
      if (!cluster) return "unknown-upstream";
      const timer = setImmediate(() => events.close(grpcUnimplemented, "gRPC calls are not there yet"));
      return () => clearImmediate(timer);
    },
    ...redis,
    resolveDns: (name, done) => resolve(name, done),
  };
}

const grpcUnimplemented = 12;

function clusterName({ upstream }: GrpcCall): string {
  return Buffer.from(upstream).toString("latin1");
}

function callOverCluster(
  clusters: ActiveClusters,
  call: HttpCall,
  done: (answer: HttpAnswer | undefined) => void,
): Cancel | "unknown-upstream" {
  const cluster = clusters.find(call.upstream);
  if (!cluster) return "unknown-upstream";
  const parts: Uint8Array[] = [];
  let size = 0;
  let headers: HeaderMap | undefined;
  let open = true;
  const finish = (answer: HttpAnswer | undefined) => {
    if (!open) return;
    open = false;
    done(answer);
  };
  const complete = (trailers: HeaderMap | undefined) =>
    finish({ headers: headers!.lines, body: Buffer.concat(parts), trailers: trailers?.lines ?? [] });
  const forwarding = new Forwarding(
    {
      onResponseHeaders(received, end) {
        headers = received;
        if (end) complete(undefined);
      },
      onResponseData(bytes, end) {
        size += bytes.length;
        parts.push(bytes);
        if (end) complete(undefined);
        else if (size > maxAnswerBytes) {
          forwarding.cancel();
          finish(undefined);
        }
      },
      onResponseTrailers: complete,
      onFailure: (reply) =>
        finish({ headers: [[":status", String(reply.status)]], body: reply.body, trailers: [] }),
      onCut: () => finish(undefined),
      onRequestBlocked() {},
    },
    { cluster, timeoutMs: 0, retryPolicy: undefined, bufferLimitBytes: maxAnswerBytes },
  );
  const timer =
    call.timeoutMs === undefined
      ? undefined
      : setTimeout(() => {
          forwarding.cancel();
          finish(undefined);
        }, call.timeoutMs);
  // Nothing calls back before this function has returned.
  const start = setImmediate(() => send(forwarding, call));
  return () => {
    open = false;
    clearTimeout(timer);
    clearImmediate(start);
    forwarding.cancel();
  };
}

function send(forwarding: Forwarding, { headers, body, trailers, timeoutMs }: HttpCall): void {
  const hasTrailers = trailers.length > 0;
  const sent = new HeaderMap([...headers]);
  if (sent.get("content-length") === undefined && body.length > 0)
    sent.add("content-length", String(body.length));
  // As Envoy: what it asks itself is internal, and told how long it waits.
  sent.replace("x-envoy-internal", "true");
  if (timeoutMs !== undefined && timeoutMs > 0)
    sent.replace("x-envoy-expected-rq-timeout-ms", String(timeoutMs));
  forwarding.start(sent, body.length === 0 && !hasTrailers);
  if (body.length > 0) forwarding.data(body, !hasTrailers);
  if (hasTrailers) forwarding.sendTrailers(new HeaderMap([...trailers]));
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
