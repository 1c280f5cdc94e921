import type { CircuitLimits } from "./cluster-config.ts";
import { type ConnectionOwner, type ConnectionTarget, Http1Connection } from "./http1-connection.ts";
import type { ClusterStats, HostStats } from "./stats/cluster-stats.ts";
import { countBytes, countClosed, countConnected, countOpened } from "./stats/count-upstream.ts";
import type { UpstreamEvents, UpstreamReset, UpstreamStream } from "./upstream-stream.ts";

/** What the requests to a cluster use together, of what its circuit breakers limit. */
export interface ClusterUse {
  connections: number;
  pending: number;
  requests: number;
  retries: number;
  readonly stats: ClusterStats;
}

export interface PoolOptions {
  readonly target: ConnectionTarget;
  readonly limits: CircuitLimits;
  readonly use: ClusterUse;
  /** Of a connection without a request; 0 for no limit. */
  readonly idleTimeoutMs: number;
  /** 0 for no limit. */
  readonly maxRequestsPerConnection: number;
  readonly host: HostStats;
}

/** The connections to one endpoint. */
export interface UpstreamPool {
  /** Gives a request a connection, now or when there is one. `onStart` gets it then. Returns how to call that off. */
  request(events: UpstreamEvents, onStart: (stream: UpstreamStream) => void): () => void;
  /** No new requests; connections close with those they have. */
  close(): void;
  readonly connectionCount: number;
  readonly host: HostStats;
  /** Brings counters of bytes up to date. */
  countBytes(): void;
}

interface Waiting {
  readonly events: UpstreamEvents;
  onStart(stream: UpstreamStream): void;
}

const overflow: UpstreamReset = { reason: "overflow", transport: undefined, beforeSent: true };

/** Keeps HTTP/1 connections to an endpoint: the one that was free last is used first, others are made as they are needed. */
export function createUpstreamPool(options: PoolOptions): UpstreamPool {
  const { target, limits, use, maxRequestsPerConnection, host } = options;
  const { counters } = use.stats;
  const stats = { cluster: use.stats, host };
  const free: { connection: Http1Connection; since: number }[] = [];
  const all = new Set<Http1Connection>();
  const waiting: Waiting[] = [];
  let closed = false;
  let idleTimer: NodeJS.Timeout | undefined;
  const owner: ConnectionOwner = { onFree, onClosed };
  return {
    request,
    close() {
      closed = true;
      clearTimeout(idleTimer);
      for (const { connection } of free.splice(0)) connection.close();
    },
    get connectionCount() {
      return all.size;
    },
    host,
    countBytes() {
      for (const connection of all) countBytes(stats, connection.takeBytes());
    },
  };

  function request(events: UpstreamEvents, onStart: (stream: UpstreamStream) => void): () => void {
    const idle = free.pop();
    if (idle) {
      onStart(idle.connection.begin(events));
      return () => {};
    }
    return wait({ events, onStart });
  }

  function wait(request: Waiting): () => void {
    if (use.pending >= limits.maxPendingRequests) {
      counters.upstream_rq_pending_overflow++;
      request.events.onReset(overflow);
      return () => {};
    }
    use.pending++;
    counters.upstream_rq_pending_total++;
    waiting.push(request);
    connectIfNeeded();
    return () => {
      if (drop(request)) counters.upstream_rq_cancelled++;
    };
  }

  /** As Envoy, an endpoint has one connection whatever the limit. */
  function connectIfNeeded(): void {
    let connecting = 0;
    for (const connection of all) if (!connection.isConnected) connecting++;
    const isRoom = use.connections < limits.maxConnections || all.size === 0;
    if (!isRoom) counters.upstream_cx_overflow++;
    if (connecting >= waiting.length || !isRoom) return;
    use.connections++;
    countOpened(stats, "http1");
    all.add(new Http1Connection(target, owner));
  }

  function drop(request: Waiting): boolean {
    const at = waiting.indexOf(request);
    if (at < 0) return false;
    waiting.splice(at, 1);
    use.pending--;
    return true;
  }

  function onFree(connection: Http1Connection): void {
    if (connection.requests === 0) countConnected(stats, connection.ageMs);
    const isSpent = maxRequestsPerConnection > 0 && connection.requests >= maxRequestsPerConnection;
    if (isSpent) counters.upstream_cx_max_requests++;
    const next = isSpent ? undefined : waiting.shift();
    if (next) {
      use.pending--;
      next.onStart(connection.begin(next.events));
    } else if (closed || isSpent) connection.close();
    else {
      free.push({ connection, since: performance.now() });
      if (idleTimer === undefined && options.idleTimeoutMs > 0) armIdleTimer(options.idleTimeoutMs);
    }
  }

  function onClosed(connection: Http1Connection, failed: UpstreamReset | undefined): void {
    all.delete(connection);
    use.connections--;
    countBytes(stats, connection.takeBytes());
    countClosed(stats, connection.ended(failed));
    const at = free.findIndex((each) => each.connection === connection);
    if (at >= 0) free.splice(at, 1);
    // As Envoy: whoever waits fails with the connection that did not come about.
    if (failed)
      for (const request of [...waiting])
        if (drop(request)) {
          counters.upstream_rq_pending_failure_eject++;
          request.events.onReset(failed);
        }
    if (waiting.length > 0) connectIfNeeded();
  }

  function armIdleTimer(ms: number): void {
    idleTimer = setTimeout(() => {
      idleTimer = undefined;
      const now = performance.now();
      while (free[0] && now - free[0].since >= options.idleTimeoutMs) {
        counters.upstream_cx_idle_timeout++;
        free[0].connection.close();
      }
      const [oldest] = free;
      if (oldest) armIdleTimer(Math.max(1, oldest.since + options.idleTimeoutMs - now));
    }, ms);
    idleTimer.unref();
  }
}
