import type { ClusterUse } from "./circuit-limits.ts";
import type { CircuitLimits } from "./cluster-config.ts";
import { Http1Connection } from "./http1-connection.ts";
import { Http2Connection, type Http2Options } from "./http2-connection.ts";
import type { HostStats } from "./stats/cluster-stats.ts";
import {
  countBytes,
  countClosed,
  countConnected,
  countOpened,
  type TakenBytes,
} from "./stats/count-upstream.ts";
import { type ConnectionTarget, openUpstreamSocket, type UpstreamSocket } from "./upstream-socket.ts";
import type {
  CodecOwner,
  ConnectionEnd,
  UpstreamCodec,
  UpstreamEvents,
  UpstreamReset,
  UpstreamStream,
} from "./upstream-stream.ts";

export interface PoolOptions {
  readonly target: ConnectionTarget;
  /** `auto`: what TLS agrees on. */
  readonly protocol: "http1" | "http2" | "auto";
  readonly http2: Http2Options;
  /** Of HTTP/1: trailers pass; otherwise they are dropped. */
  readonly enableTrailers: boolean;
  readonly limits: CircuitLimits;
  readonly use: ClusterUse;
  /** Of a connection without a request; 0 for no limit. */
  readonly idleTimeoutMs: number;
  /** Of a connection, whatever it does: then it takes no more requests. 0 for no limit. */
  readonly maxDurationMs: number;
  /** 0 for no limit. */
  readonly maxRequestsPerConnection: number;
  readonly host: HostStats;
}

/** The connections to one endpoint. */
export interface UpstreamPool {
  /** Gives a request a connection, now or when there is one. `onStart` gets it then. Returns how to call that off. */
  request(events: UpstreamEvents, onStart: (stream: UpstreamStream) => void): () => void;
  /** No new connections are kept; those there are close with their last request. */
  close(): void;
  readonly connectionCount: number;
  /** Requests that have a connection. */
  readonly activeCount: number;
  readonly host: HostStats;
  /** Brings counters of bytes up to date. */
  countBytes(): void;
}

interface Waiting {
  readonly events: UpstreamEvents;
  onStart(stream: UpstreamStream): void;
}

/** A connection, or one to be. */
interface Member {
  readonly opened: UpstreamSocket;
  codec: UpstreamCodec | undefined;
  /** It is in the list of those with room. */
  isReady: boolean;
  active: number;
  /** That may begin still. */
  left: number;
  idleSince: number;
  readonly since: number;
  requests: number;
  taken: TakenBytes;
  timer: NodeJS.Timeout | undefined;
}

const overflow: UpstreamReset = { reason: "overflow", transport: undefined, beforeSent: true };
const nothing = () => {};

/** Keeps connections to an endpoint: the one that had room last is used first, others are made as they are needed. */
export function createUpstreamPool(options: PoolOptions): UpstreamPool {
  const { target, protocol, limits, use, host } = options;
  const { counters } = use.stats;
  const stats = { cluster: use.stats, host };
  const ready: Member[] = [];
  const all = new Set<Member>();
  const waiting: Waiting[] = [];
  let closed = false;
  let activeCount = 0;
  let idleTimer: NodeJS.Timeout | undefined;
  /** How many waiting requests a connection that is not there yet will take. Of what it will speak nothing is known: one. */
  const expected = protocol === "http2" ? options.http2.maxConcurrentStreams : 1;
  return {
    request,
    close() {
      closed = true;
      clearTimeout(idleTimer);
      for (const { codec } of [...all]) codec?.drain();
    },
    get connectionCount() {
      return all.size;
    },
    get activeCount() {
      return activeCount;
    },
    host,
    countBytes() {
      for (const member of all) countBytes(stats, takeBytes(member));
    },
  };

  function request(events: UpstreamEvents, onStart: (stream: UpstreamStream) => void): () => void {
    const member = findReady();
    if (member) {
      begin(member, { events, onStart });
      return nothing;
    }
    return wait({ events, onStart });
  }

  /** The last of the list, which a codec that lost its room is taken off. */
  function findReady(): Member | undefined {
    for (let member = ready.at(-1); member; member = ready.at(-1)) {
      if (hasRoom(member)) return member;
      ready.pop();
      member.isReady = false;
    }
    return undefined;
  }

  function begin(member: Member, { events, onStart }: Waiting): void {
    if (use.requests >= limits.maxRequests) {
      counters.upstream_rq_active_overflow++;
      events.onReset(overflow);
      return;
    }
    use.requests++;
    activeCount++;
    member.active++;
    member.left--;
    member.requests++;
    onStart(member.codec!.begin(events));
    // A connection that may take no more closes with its last stream.
    if (member.left > 0) return;
    counters.upstream_cx_max_requests++;
    member.codec!.drain();
  }

  function wait(request: Waiting): () => void {
    if (use.pending >= limits.maxPendingRequests) {
      counters.upstream_rq_pending_overflow++;
      request.events.onReset(overflow);
      return nothing;
    }
    use.pending++;
    counters.upstream_rq_pending_total++;
    waiting.push(request);
    connectIfNeeded();
    return () => {
      if (drop(request)) counters.upstream_rq_cancelled++;
    };
  }

  function drop(request: Waiting): boolean {
    const at = waiting.indexOf(request);
    if (at < 0) return false;
    waiting.splice(at, 1);
    use.pending--;
    return true;
  }

  /** As Envoy, an endpoint has one connection whatever the limit. */
  function connectIfNeeded(): void {
    let connecting = 0;
    for (const { codec } of all) if (!codec) connecting += expected;
    const isRoom = use.connections < limits.maxConnections || all.size === 0;
    if (!isRoom) counters.upstream_cx_overflow++;
    else if (connecting < waiting.length) connect();
  }

  function connect(): void {
    use.connections++;
    countOpened(stats);
    const member: Member = {
      opened: openUpstreamSocket({
        target,
        reusesBuffer: protocol === "http1",
        onConnected: () => connected(member),
        onFailed: (reset) => connectFailed(member, reset),
      }),
      codec: undefined,
      isReady: false,
      active: 0,
      left: options.maxRequestsPerConnection || Number.POSITIVE_INFINITY,
      idleSince: 0,
      since: performance.now(),
      requests: 0,
      taken: { received: 0, sent: 0 },
      timer: undefined,
    };
    all.add(member);
  }

  function connected(member: Member): void {
    const owner: CodecOwner = {
      onStreamEnd: () => streamEnded(member),
      onRoom: serveWaiting,
      onClosed: (end) => connectionClosed(member, end, undefined),
    };
    const { opened } = member;
    countConnected(stats, speaksHttp2(opened) ? "http2" : "http1", performance.now() - member.since);
    member.codec = speaksHttp2(opened)
      ? new Http2Connection(opened, owner, options.http2)
      : new Http1Connection(opened, owner, options.enableTrailers);
    if (options.maxDurationMs > 0) {
      member.timer = setTimeout(() => {
        counters.upstream_cx_max_duration_reached++;
        member.codec?.drain();
      }, options.maxDurationMs);
      member.timer.unref();
    }
    offer(member);
  }

  function speaksHttp2({ socket }: UpstreamSocket): boolean {
    return (
      protocol === "http2" ||
      (protocol === "auto" && "alpnProtocol" in socket && socket.alpnProtocol === "h2")
    );
  }

  function connectFailed(member: Member, reset: UpstreamReset): void {
    connectionClosed(member, { isRemote: reset.reason !== "connection timeout", wasBusy: false }, reset);
    // As Envoy: whoever waits fails with the connection that did not come about.
    for (const request of [...waiting]) {
      if (!drop(request)) continue;
      counters.upstream_rq_pending_failure_eject++;
      request.events.onReset(reset);
    }
  }

  function streamEnded(member: Member): void {
    use.requests--;
    activeCount--;
    member.active--;
    offer(member);
  }

  /** Puts a connection that may have room in line, for those who wait or who come. */
  function offer(member: Member): void {
    if (hasRoom(member) && !member.isReady) {
      member.isReady = true;
      ready.push(member);
    }
    serveWaiting();
    if (member.active > 0 || !member.codec) return;
    if (closed) member.codec.drain();
    member.idleSince = performance.now();
    if (idleTimer === undefined && options.idleTimeoutMs > 0 && !closed) armIdleTimer(options.idleTimeoutMs);
  }

  function serveWaiting(): void {
    while (waiting.length > 0) {
      const member = findReady();
      if (!member) break;
      const [next] = waiting;
      if (next && drop(next)) begin(member, next);
    }
    if (waiting.length > 0) connectIfNeeded();
  }

  function connectionClosed(member: Member, end: ConnectionEnd, failed: UpstreamReset | undefined): void {
    clearTimeout(member.timer);
    all.delete(member);
    use.connections--;
    countBytes(stats, takeBytes(member));
    const { requests, since } = member;
    countClosed(stats, { ...end, requests, lengthMs: performance.now() - since, failed });
    const at = member.isReady ? ready.indexOf(member) : -1;
    if (at >= 0) ready.splice(at, 1);
    member.isReady = false;
    if (waiting.length > 0 && member.codec) connectIfNeeded();
  }

  function armIdleTimer(ms: number): void {
    idleTimer = setTimeout(() => {
      idleTimer = undefined;
      const now = performance.now();
      let next = Number.POSITIVE_INFINITY;
      for (const { codec, active, idleSince } of [...all]) {
        if (!codec || active > 0) continue;
        const left = idleSince + options.idleTimeoutMs - now;
        if (left <= 0) {
          counters.upstream_cx_idle_timeout++;
          codec.drain();
        } else next = Math.min(next, left);
      }
      if (next !== Number.POSITIVE_INFINITY) armIdleTimer(Math.max(1, next));
    }, ms);
    idleTimer.unref();
  }
}

function hasRoom({ codec, left }: Member): boolean {
  return codec !== undefined && left > 0 && codec.room > 0;
}

/** Bytes since the last time that somebody asked. */
function takeBytes(member: Member): TakenBytes {
  const { bytesRead, bytesWritten } = member.opened.socket;
  const { received, sent } = member.taken;
  member.taken = { received: bytesRead, sent: bytesWritten };
  return { received: bytesRead - received, sent: bytesWritten - sent };
}
