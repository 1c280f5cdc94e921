import type { HttpConnection } from "./gateway-config.ts";

/** What a connection's protocol does when the connection is to end. */
export interface ConnectionEnds {
  /** Several streams run at a time. */
  readonly isMultiplexed: boolean;
  /** Tells the client that no streams should begin any more, where the protocol has words for that. */
  announce(): void;
  /** Ends the connection: no stream is left on it. */
  close(): void;
}

type State = "open" | "draining" | "closing";

/**
 * How long a client's connection goes on: Envoy's `idle_timeout`, `max_connection_duration`, `max_requests_per_connection`
 * and the drain of its listener. One that has come to its end is draining for `drain_timeout`, so that requests that are on
 * their way are answered, and closes with its last stream.
 */
export class ConnectionLife {
  /** The response that is sent now is the last on the connection. */
  isLast = false;
  private state: State = "open";
  private streams = 0;
  private requests = 0;
  private readonly http: HttpConnection;
  private readonly ends: ConnectionEnds;
  private readonly isDraining: () => boolean;
  private idleTimer: NodeJS.Timeout | undefined;
  private durationTimer: NodeJS.Timeout | undefined;
  private drainTimer: NodeJS.Timeout | undefined;

  /** `isDraining` says whether the listener is going. */
  constructor(http: HttpConnection, isDraining: () => boolean, ends: ConnectionEnds) {
    this.http = http;
    this.isDraining = isDraining;
    this.ends = ends;
    this.durationTimer = after(http.maxConnectionDurationMs, () => this.drain());
    this.idleTimer = after(http.idleTimeoutMs, () => this.idle());
  }

  /** No more streams should begin. */
  get isEnding(): boolean {
    return this.state !== "open" || this.isDraining();
  }

  get isIdle(): boolean {
    return this.streams === 0;
  }

  beginStream(): void {
    this.streams++;
    const { maxRequestsPerConnection: max } = this.http;
    if (max === 0 || ++this.requests < max) return;
    if (this.ends.isMultiplexed) this.drain();
    else this.state = "closing";
  }

  endStream(): void {
    this.streams--;
    if (this.streams > 0) return;
    if (this.state === "closing") this.ends.close();
    else this.idleTimer?.refresh();
  }

  drain(): void {
    if (this.state !== "open") return;
    this.state = "draining";
    this.ends.announce();
    this.drainTimer = setTimeout(() => {
      this.state = "closing";
      if (this.streams === 0) this.ends.close();
    }, this.http.drainTimeoutMs);
  }

  /** The connection is gone. */
  dispose(): void {
    clearTimeout(this.idleTimer);
    clearTimeout(this.durationTimer);
    clearTimeout(this.drainTimer);
  }

  private idle(): void {
    // The end of a stream winds it up again.
    if (this.streams === 0) this.drain();
  }
}

const maxTimeoutMs = 2 ** 31 - 1;

/** A timer, or none for 0. */
export function after(ms: number, action: () => void): NodeJS.Timeout | undefined {
  return ms > 0 ? setTimeout(action, Math.min(ms, maxTimeoutMs)) : undefined;
}
