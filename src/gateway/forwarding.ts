import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { type ActiveCluster, addressOf } from "./active-clusters.ts";
import type { Endpoint } from "./cluster-config.ts";
import {
  type GatewayReply,
  http2Unsupported,
  noHealthyUpstream,
  perTryTimeout,
  requestTimeout,
  upstreamReset,
} from "./local-replies.ts";
import { retriesAfterReset, retriesAfterResponse } from "./retries.ts";
import type { AttemptState } from "./route-effects.ts";
import type { RetryPolicy } from "./route-table.ts";
import { countResponse, countRetried, countTime, type HostStats } from "./stats/cluster-stats.ts";
import { countOutcome } from "./stats/count-upstream.ts";
import type { UpstreamConnection, UpstreamEvents, UpstreamReset, UpstreamStream } from "./upstream-stream.ts";

/** Who sends a request upstream: the end of a stream's filters, or a plugin's call. */
export interface ForwardingOwner {
  onInformational?(headers: HeaderMap): void;
  /** The policy would have it tried again, and it has been so often enough. */
  onRetriesExhausted?(): void;
  onResponseHeaders(headers: HeaderMap, endOfStream: boolean): void;
  onResponseData(bytes: Uint8Array, endOfStream: boolean): void;
  onResponseTrailers(trailers: HeaderMap): void;
  /** No response comes; this is what to say. */
  onFailure(reply: GatewayReply): void;
  /** The rest of the response does not come. */
  onCut(reset: UpstreamReset): void;
  /** The request's body may not come faster (true), or may again. */
  onRequestBlocked(blocked: boolean): void;
}

export interface ForwardingOptions {
  readonly cluster: ActiveCluster;
  /** Milliseconds from the end of the request; 0 for no limit. */
  readonly timeoutMs: number;
  /** What a timeout is answered with: 504 if it is left out. */
  readonly timeoutStatus?: 504 | 204;
  readonly retryPolicy: RetryPolicy | undefined;
  /** What of a body may be kept to send it again. */
  readonly bufferLimitBytes: number;
  /** Only this one. */
  readonly endpoint?: Endpoint | undefined;
  /** Changes the headers for an endpoint before they are sent to it. */
  readonly onEndpoint?: ((headers: HeaderMap, endpoint: Endpoint, state: AttemptState) => void) | undefined;
}

const empty = new Uint8Array(0);

/** A request on its way to a cluster, with its attempts. */
export class Forwarding implements UpstreamEvents {
  /** The last attempt's. */
  endpoint: Endpoint | undefined;
  connection: UpstreamConnection | undefined;
  attempts = 0;
  private readonly owner: ForwardingOwner;
  private readonly options: ForwardingOptions;
  private headers: HeaderMap | undefined;
  private stream: UpstreamStream | undefined;
  private callOff: (() => void) | undefined;
  /** What has come of the request and is to be sent still, or again. */
  private body: Uint8Array[] = [];
  private bodyBytes = 0;
  private trailers: HeaderMap | undefined;
  private requestEnded = false;
  /** As it was begun: a body that turns out to be empty is one. */
  private endsWithHeaders = false;
  private keepsBody: boolean;
  private tried: Set<Endpoint> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private tryTimer: NodeJS.Timeout | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private responseBegan = false;
  private isOver = false;
  private isBlocked = false;
  private startedMs = 0;
  private host: HostStats | undefined;
  /** Where an attempt is under way. */
  private busyHost: HostStats | undefined;

  constructor(owner: ForwardingOwner, options: ForwardingOptions) {
    this.owner = owner;
    this.options = options;
    this.keepsBody = options.retryPolicy !== undefined;
  }

  // What the owner calls:

  start(headers: HeaderMap, endOfStream: boolean): void {
    const { use, config } = this.options.cluster;
    this.headers = headers;
    if (config.protocol === "http2") {
      this.isOver = true;
      this.owner.onFailure(http2Unsupported);
      return;
    }
    if (use.requests >= config.limits.maxRequests) {
      this.isOver = true;
      this.attempts = 1;
      use.stats.counters.upstream_rq_active_overflow++;
      this.owner.onFailure(
        upstreamReset({ reason: "overflow", transport: undefined, beforeSent: true }, false),
      );
      return;
    }
    use.requests++;
    this.endsWithHeaders = endOfStream;
    if (endOfStream) this.endRequest();
    this.attempt();
  }

  data(bytes: Uint8Array, endOfStream: boolean): void {
    if (this.isOver) return;
    const { keepsBody } = this;
    if (keepsBody) this.keep(bytes);
    if (endOfStream) this.endRequest();
    if (!this.stream) {
      if (!keepsBody) this.keep(bytes);
      if (this.bodyBytes > this.options.bufferLimitBytes) this.setBlocked(true);
    } else if (!this.stream.sendData(bytes, endOfStream)) this.setBlocked(true);
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.isOver) return;
    this.trailers = trailers;
    this.endRequest();
    this.stream?.sendTrailers(trailers);
  }

  setPaused(paused: boolean): void {
    this.stream?.setPaused(paused);
  }

  cancel(): void {
    if (this.isOver) return;
    this.finish();
    this.abandon();
  }

  // What the connection calls:

  onReady(connection: UpstreamConnection): void {
    this.connection = connection;
  }

  onInformational(headers: HeaderMap): void {
    this.owner.onInformational?.(headers);
  }

  onHeaders(headers: HeaderMap, endOfStream: boolean): void {
    clearTimeout(this.tryTimer);
    const status = Number(headers.get(":status"));
    this.report(status);
    const { retryPolicy, cluster } = this.options;
    const isRetriable = retryPolicy !== undefined && retriesAfterResponse(retryPolicy, status, headers);
    if (isRetriable && this.retry(endOfStream)) {
      countRetried(cluster.use.stats, status);
      return;
    }
    if (this.attempts > 1 && !isRetriable) cluster.use.stats.counters.upstream_rq_retry_success++;
    countResponse(cluster.use.stats, status, this.isInternal);
    this.responseBegan = true;
    if (endOfStream) this.complete();
    this.owner.onResponseHeaders(headers, endOfStream);
  }

  onData(bytes: Uint8Array, endOfStream: boolean): void {
    if (!this.responseBegan || this.isOver) return;
    if (endOfStream) this.complete();
    this.owner.onResponseData(bytes, endOfStream);
  }

  onTrailers(trailers: HeaderMap): void {
    if (!this.responseBegan || this.isOver) return;
    this.complete();
    this.owner.onResponseTrailers(trailers);
  }

  onDrain(): void {
    this.setBlocked(false);
  }

  onReset(reset: UpstreamReset): void {
    if (this.isOver) return;
    this.stream = undefined;
    clearTimeout(this.tryTimer);
    if (!this.responseBegan) {
      if (reset.reason !== "overflow") this.report(undefined);
      const { retryPolicy } = this.options;
      if (retryPolicy && retriesAfterReset(retryPolicy, reset) && this.retry(true)) return;
    }
    const isRetry = this.attempts > 1;
    this.finish();
    if (this.responseBegan) this.owner.onCut(reset);
    else this.fail(upstreamReset(reset, isRetry));
  }

  private attempt(): void {
    const { cluster, onEndpoint, retryPolicy } = this.options;
    this.attempts++;
    const endpoint = this.options.endpoint ?? cluster.balancer.choose(this.tried);
    if (!endpoint) {
      this.finish();
      cluster.use.stats.counters.upstream_cx_none_healthy++;
      this.fail(noHealthyUpstream);
      return;
    }
    this.endpoint = endpoint;
    if (retryPolicy?.avoidPreviousHosts) {
      this.tried ??= new Set();
      this.tried.add(endpoint);
    }
    const elapsedMs = this.requestEnded ? performance.now() - this.startedMs : 0;
    onEndpoint?.(this.headers!, endpoint, { attempt: this.attempts, elapsedMs });
    this.armTryTimer();
    const pool = cluster.poolOf(endpoint);
    this.host = pool.host;
    this.callOff = pool.request(this, (stream) => this.send(stream));
  }

  private send(stream: UpstreamStream): void {
    this.options.cluster.use.stats.counters.upstream_rq_total++;
    this.host!.rq_total++;
    this.host!.rq_active++;
    this.busyHost = this.host;
    this.stream = stream;
    const hasBody = !this.endsWithHeaders;
    stream.sendHeaders(this.headers!, !hasBody);
    if (!hasBody) return;
    const { body, trailers } = this;
    const endsWithBody = this.requestEnded && !trailers;
    let isRoom = true;
    for (const [i, part] of body.entries())
      isRoom = stream.sendData(part, endsWithBody && i === body.length - 1);
    if (endsWithBody && body.length === 0) stream.sendData(empty, true);
    if (trailers) stream.sendTrailers(trailers);
    if (!this.keepsBody) this.forgetBody();
    if (isRoom) this.setBlocked(false);
  }

  private keep(bytes: Uint8Array): void {
    this.body.push(bytes);
    this.bodyBytes += bytes.length;
    const isTooMuch = this.keepsBody && this.bodyBytes > this.options.bufferLimitBytes;
    if (!isTooMuch) return;
    // As Envoy: a request that is too large to be kept is not tried again.
    this.keepsBody = false;
    if (this.stream) this.forgetBody();
  }

  private forgetBody(): void {
    this.body = [];
    this.bodyBytes = 0;
  }

  private setBlocked(blocked: boolean): void {
    if (blocked === this.isBlocked) return;
    this.isBlocked = blocked;
    this.owner.onRequestBlocked(blocked);
  }

  private endRequest(): void {
    this.requestEnded = true;
    this.startedMs = performance.now();
    const { timeoutMs } = this.options;
    if (timeoutMs > 0) this.timer = setTimeout(() => this.expire(requestTimeout), timeoutMs);
  }

  private armTryTimer(): void {
    const ms = this.options.retryPolicy?.perTryTimeoutMs ?? 0;
    if (ms > 0) this.tryTimer = setTimeout(() => this.tryExpired(), ms);
  }

  private tryExpired(): void {
    const policy = this.options.retryPolicy!;
    this.options.cluster.use.stats.counters.upstream_rq_per_try_timeout++;
    this.report(504);
    const isRetriable = policy.on.has("5xx") || policy.on.has("gateway-error") || policy.on.has("reset");
    if (isRetriable && this.retry(false)) return;
    this.expire(perTryTimeout);
  }

  private expire(reply: GatewayReply): void {
    if (this.isOver) return;
    this.finish();
    this.abandon();
    if (reply === requestTimeout) this.countTimeout();
    const { timeoutStatus = reply.status } = this.options;
    this.fail(timeoutStatus === 204 ? { ...reply, status: 204, body: empty } : reply);
  }

  private fail(reply: GatewayReply): void {
    countResponse(this.options.cluster.use.stats, reply.status, this.isInternal);
    this.owner.onFailure(reply);
  }

  private countTimeout(): void {
    this.options.cluster.use.stats.counters.upstream_rq_timeout++;
    if (!this.host) return;
    this.host.rq_timeout++;
    countOutcome(this.host, undefined);
  }

  private report(status: number | undefined): void {
    this.options.cluster.balancer.report(this.endpoint!, status);
    if (this.host) countOutcome(this.host, status);
  }

  private get isInternal(): boolean {
    return this.headers?.get("x-envoy-internal") === "true";
  }

  /** The response has come whole. */
  private complete(): void {
    this.finish();
    countTime(this.options.cluster.use.stats, performance.now() - this.startedMs, this.isInternal);
  }

  /** Tries again if it may. `isSettled`: nothing more comes of the attempt before. */
  private retry(isSettled: boolean): boolean {
    const { retryPolicy, cluster } = this.options;
    const { use, config } = cluster;
    const isExhausted = this.attempts > retryPolicy!.retries || use.retries >= config.limits.maxRetries;
    if (!this.keepsBody || isExhausted) {
      if (this.attempts > retryPolicy!.retries && retryPolicy!.retries > 0) this.owner.onRetriesExhausted?.();
      if (this.attempts > retryPolicy!.retries) use.stats.counters.upstream_rq_retry_limit_exceeded++;
      else if (isExhausted) use.stats.counters.upstream_rq_retry_overflow++;
      return false;
    }
    use.stats.counters.upstream_rq_retry++;
    use.stats.counters.upstream_rq_retry_backoff_exponential++;
    if (!isSettled) this.abandon();
    this.stream = undefined;
    this.endAttempt();
    use.retries++;
    const { baseIntervalMs, maxIntervalMs } = retryPolicy!;
    const ceiling = Math.min(baseIntervalMs * (2 ** this.attempts - 1), maxIntervalMs);
    this.retryTimer = setTimeout(
      () => {
        this.retryTimer = undefined;
        use.retries--;
        this.attempt();
      },
      Math.floor(Math.random() * Math.max(1, ceiling)),
    );
    return true;
  }

  private endAttempt(): void {
    if (this.busyHost) this.busyHost.rq_active--;
    this.busyHost = undefined;
  }

  private abandon(): void {
    this.callOff?.();
    this.stream?.cancel();
    this.stream = undefined;
  }

  private finish(): void {
    this.isOver = true;
    this.endAttempt();
    const { use } = this.options.cluster;
    use.requests--;
    if (this.retryTimer !== undefined) use.retries--;
    clearTimeout(this.timer);
    clearTimeout(this.tryTimer);
    clearTimeout(this.retryTimer);
  }

  /** `ip:port` of the endpoint. */
  get address(): string | undefined {
    return this.endpoint && addressOf(this.endpoint);
  }
}
