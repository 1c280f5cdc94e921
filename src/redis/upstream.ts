import type { Duplex } from "node:stream";
import type { Log } from "../log.ts";
import { SystemError } from "../system-error.ts";
import { encodeCommand, findQueryFault } from "./command.ts";
import { openConnection, type RedisConnection } from "./connection.ts";

export interface RedisUpstreamOptions {
  /** Makes a connection to the server: a socket that may still be connecting. */
  connect(): Duplex;
  readonly username?: string;
  readonly password?: string;
  readonly database?: number;
  /** How long a new connection may take until it may be used, in milliseconds. */
  readonly timeoutMs: number;
  /**
   * Further connections are made when one has 64 calls under way. Only with one, which is what Envoy has for each of its
   * threads, are commands always executed in the order of the calls.
   */
  readonly maxConnections: number;
  /** 8 MiB unless given. A call whose reply is larger fails with `too-large`. */
  readonly maxReplyBytes?: number;
  readonly log: Log;
  /** Ends all connections, and the calls that are under way with `cancelled`. */
  readonly signal: AbortSignal;
}

export interface RedisUpstream {
  /**
   * Sends one command, encoded as an array of bulk strings, and resolves with the reply as it came; an error that Redis
   * answers is a reply too. What must not be sent over a shared connection is answered as Redis would: `-ERR …`.
   * @throws SystemError `network`, `timeout`, `too-large`, `unauthorized`, `cancelled`
   */
  call(query: Uint8Array, timeoutMs: number): Promise<Uint8Array>;
}

const pipelineDepth = 64;
/** Of queries that wait for their replies. */
const maxQueryBytes = 64 * 1024 * 1024;
const firstBackoffMs = 100;
const maxBackoffMs = 10_000;

/** Makes connections as they are needed. After one that did not come about the next attempt waits: 100 ms, doubling up to 10 s. */
export function createRedisUpstream(options: RedisUpstreamOptions): RedisUpstream {
  const { log, signal, maxConnections, maxReplyBytes = 8 * 1024 * 1024 } = options;
  const connections: RedisConnection[] = [];
  const handshake = handshakeOf(options);
  let queryBytes = 0;
  let failures = 0;
  let failure: { readonly reason: SystemError; readonly until: number } | undefined;

  const noteClosed = (connection: RedisConnection, reason: SystemError, worked: boolean) => {
    connections.splice(connections.indexOf(connection), 1);
    if (signal.aborted) return;
    failures = worked ? 0 : failures + 1;
    const rest = worked ? 0 : Math.min(firstBackoffMs * 2 ** (failures - 1), maxBackoffMs);
    failure = { reason, until: performance.now() + rest * (0.5 + Math.random() / 2) };
    log.warn({ reason: reason.message, worked }, "a connection to Redis has ended");
  };
  const open = () => {
    const connection: RedisConnection = openConnection({
      stream: options.connect(),
      handshake,
      handshakeTimeoutMs: options.timeoutMs,
      maxReplyBytes,
      onClosed: (reason, worked) => noteClosed(connection, reason, worked),
    });
    connections.push(connection);
    return connection;
  };
  /** The first that has room, so that calls keep their order while there are few. */
  const pick = () => {
    const free = connections.find((connection) => connection.waiting() < pipelineDepth);
    if (free) return free;
    const isResting = failure !== undefined && performance.now() < failure.until;
    if (connections.length < maxConnections && !isResting) return open();
    return connections.toSorted((a, b) => a.waiting() - b.waiting())[0];
  };
  const send = async (query: Uint8Array, timeoutMs: number) => {
    const connection = pick();
    if (!connection) throw failure!.reason;
    queryBytes += query.length;
    try {
      return await connection.send(query, timeoutMs);
    } finally {
      queryBytes -= query.length;
    }
  };
  const closeAll = () => {
    for (const connection of [...connections]) connection.close(cancelled());
  };
  signal.addEventListener("abort", closeAll, { once: true });
  return {
    async call(query, timeoutMs) {
      if (signal.aborted) throw cancelled();
      const fault = findQueryFault(query);
      if (fault !== undefined) return Buffer.from(`-ERR wasmline: ${fault}\r\n`);
      if (queryBytes + query.length > maxQueryBytes)
        throw new SystemError("too-large", `more than ${maxQueryBytes} bytes of queries wait for Redis`);
      return send(query, timeoutMs);
    },
  };
}

function handshakeOf({ username, password, database }: RedisUpstreamOptions): Buffer[] {
  const credentials = username ? [username, password ?? ""] : [password ?? ""];
  return [
    ...(password ? [encodeCommand("AUTH", ...credentials)] : []),
    ...(database ? [encodeCommand("SELECT", String(database))] : []),
  ];
}

function cancelled(): SystemError {
  return new SystemError("cancelled", "the Redis upstream was ended");
}
