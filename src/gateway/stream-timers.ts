import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { after } from "./connection-life.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { type GatewayReply, gatewayReply } from "./local-replies.ts";
import type { RouteAction } from "./route-table.ts";

/** Who a stream's timers end. */
export interface TimedStream {
  /** Undefined while the request has not come whole. */
  readonly requestEndMs: number | undefined;
  readonly elapsedMs: number;
  reply(reply: GatewayReply): void;
}

const grpcDeadlineExceeded = 4;

/** What of a stream may take too long: Envoy's timeouts of its connection manager and of its route. */
export class StreamTimers {
  private readonly stream: TimedStream;
  private idleMs: number;
  private idle: NodeJS.Timeout | undefined;
  private request: NodeJS.Timeout | undefined;
  private duration: NodeJS.Timeout | undefined;

  constructor(stream: TimedStream, http: HttpConnection) {
    this.stream = stream;
    this.idleMs = http.streamIdleTimeoutMs;
    this.idle = after(this.idleMs, () => this.expireIdle());
    this.request = after(http.requestTimeoutMs, () =>
      stream.reply(gatewayReply(408, "request timeout", "request_overall_timeout")),
    );
    this.duration = after(http.maxStreamDurationMs, () => this.expireDuration());
  }

  /** Something came or went. */
  touch(): void {
    this.idle?.refresh();
  }

  requestEnded(): void {
    clearTimeout(this.request);
    this.idle?.refresh();
  }

  /** A route's own timeouts take the place of the connection manager's. */
  useRoute(action: RouteAction | undefined, headers: HeaderMap): void {
    if (action?.kind !== "forward") return;
    const { idleTimeoutMs } = action;
    if (idleTimeoutMs !== undefined && idleTimeoutMs !== this.idleMs) {
      clearTimeout(this.idle);
      this.idleMs = idleTimeoutMs;
      this.idle = after(idleTimeoutMs, () => this.expireIdle());
    }
    const durationMs = streamDuration(action, headers);
    if (durationMs === undefined) return;
    clearTimeout(this.duration);
    const left = durationMs > 0 ? Math.max(1, durationMs - this.stream.elapsedMs) : 0;
    this.duration = after(left, () => this.expireDuration());
  }

  clear(): void {
    clearTimeout(this.idle);
    clearTimeout(this.request);
    clearTimeout(this.duration);
  }

  private expireIdle(): void {
    this.stream.reply(gatewayReply(this.status, "stream timeout", "stream_idle_timeout", "SI"));
  }

  private expireDuration(): void {
    const reply = gatewayReply(this.status, "downstream duration timeout", "max_duration_timeout");
    this.stream.reply({ ...reply, grpcStatus: grpcDeadlineExceeded });
  }

  /** As Envoy: it is the client's fault while the request has not come whole. */
  private get status(): number {
    return this.stream.requestEndMs === undefined ? 408 : 504;
  }
}

/** Milliseconds that a route gives a stream, 0 for no limit; undefined where it says nothing. */
function streamDuration(
  { maxStreamDurationMs, grpcTimeoutMaxMs, grpcTimeoutOffsetMs }: Extract<RouteAction, { kind: "forward" }>,
  headers: HeaderMap,
): number | undefined {
  const asked = grpcTimeoutMaxMs === undefined ? undefined : readGrpcTimeout(headers.get("grpc-timeout"));
  if (asked === undefined || grpcTimeoutMaxMs === undefined) return maxStreamDurationMs;
  const granted = grpcTimeoutMaxMs === 0 ? asked : Math.min(asked, grpcTimeoutMaxMs);
  return grpcTimeoutOffsetMs < granted ? granted - grpcTimeoutOffsetMs : granted;
}

const unitMs: Readonly<Record<string, number>> = { H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 1e-3, n: 1e-6 };

/** Milliseconds of gRPC's `TimeoutValue TimeoutUnit`; undefined if it is none. */
function readGrpcTimeout(value: string | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(value ?? "");
  return match ? Math.max(1, Math.ceil(Number(match[1]) * unitMs[match[2]!]!)) : undefined;
}
