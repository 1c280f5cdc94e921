import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { ActiveCluster, PoolDemand } from "./active-cluster.ts";
import type { Endpoint } from "./cluster-config.ts";
import { addressOf } from "./endpoint-address.ts";
import { KeptBody } from "./kept-body.ts";
import {
  cutBy,
  type GatewayReply,
  noHealthyUpstream,
  type StreamCut,
  timedOut,
  upstreamReset,
} from "./local-replies.ts";
import { statusOfOutcome } from "./request-outcome.ts";
import {
  backOffMs,
  findRetryLimit,
  retriesAfterReset,
  retriesAfterResponse,
  retriesAfterTimeout,
} from "./retries.ts";
import type { AttemptState } from "./route-effects.ts";
import type { RetryPolicy } from "./route-table.ts";
import { countResponse, countRetried, countTime, type HostStats } from "./stats/cluster-stats.ts";
import { countOutcome } from "./stats/count-upstream.ts";
import type { UpstreamConnection, UpstreamEvents, UpstreamReset, UpstreamStream } from "./upstream-stream.ts";

/** Who sends a request upstream: the end of a stream's filters, or a plugin's call. */
export interface ForwardingOwner {
  onInformational?(headers: HeaderMap): void;
  onResponseHeaders(headers: HeaderMap, endOfStream: boolean): void;
  onResponseData(bytes: Uint8Array, endOfStream: boolean): void;
  onResponseTrailers(trailers: HeaderMap): void;
  /** No response comes; this is what to say. */
  onFailure(reply: GatewayReply): void;
  /** The rest of the response does not come. */
  onCut(cut: StreamCut): void;
  /** The request's body may not come faster (true), or may again. */
  onRequestBlocked(blocked: boolean): void;
  /** Envoy's response flag of what happened besides: `URX`, `UO`. */
  onFlag?(flag: string): void;
}

export interface ForwardingOptions {
  readonly cluster: ActiveCluster;
  /** Milliseconds from the end of the request, for all attempts; 0 for no limit. */
  readonly timeoutMs: number;
  /** What a timeout is answered with: 504 if it is left out. */
  readonly timeoutStatus?: 504 | 204;
  readonly retryPolicy: RetryPolicy | undefined;
  /** What of a body may be kept to send it again. */
  readonly bufferLimitBytes: number;
  /** What kind of connection the request needs. */
  readonly demand?: PoolDemand | undefined;
  /** This one, while it is well. */
  readonly endpoint?: Endpoint | undefined;
  /** Changes the headers for an endpoint before they are sent to it. */
  readonly onEndpoint?: ((headers: HeaderMap, endpoint: Endpoint, state: AttemptState) => void) | undefined;
}

/** A request on its way to a cluster, with its attempts. */
export class Forwarding implements UpstreamEvents {
  /** The last attempt's. */
  endpoint: Endpoint | undefined;
  connection: UpstreamConnection | undefined;
  attempts = 0;
  private readonly owner: ForwardingOwner;
  private readonly options: ForwardingOptions;
  private readonly body: KeptBody;
  private headers: HeaderMap | undefined;
  private stream: UpstreamStream | undefined;
  private callOff: (() => void) | undefined;
  private tried: Set<Endpoint> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private tryTimer: NodeJS.Timeout | undefined;
  private idleTimer: NodeJS.Timeout | undefined;
  private retryTimer: NodeJS.Timeout | undefined;
  private endedAt: number | undefined;
  /** Something follows the headers, be it empty. */
  private hasBody = false;
  private responseBegan = false;
  private isOver = false;
  private isBlocked = false;
  /** This attempt is one of the retries that the cluster's limit counts. */
  private isRetry = false;
  private host: HostStats | undefined;
  /** Where an attempt is under way. */
  private busyHost: HostStats | undefined;

  constructor(owner: ForwardingOwner, options: ForwardingOptions) {
    this.owner = owner;
    this.options = options;
    this.body = new KeptBody(options.retryPolicy !== undefined, options.bufferLimitBytes);
  }

  // What the owner calls:

  start(headers: HeaderMap, endOfStream: boolean): void {
    this.headers = headers;
    this.hasBody = !endOfStream;
    if (endOfStream) this.endRequest(undefined);
    this.attempt();
  }

  data(bytes: Uint8Array, endOfStream: boolean): void {
    if (this.isOver) return;
    const { stream } = this;
    this.body.add(bytes, endOfStream, stream !== undefined);
    if (endOfStream) this.requestEnded();
    this.idleTimer?.refresh();
    const isRoom = stream
      ? stream.sendData(bytes, endOfStream)
      : this.body.bytes <= this.options.bufferLimitBytes;
    if (!isRoom) this.setBlocked(true);
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.isOver) return;
    this.endRequest(trailers);
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
    if (!this.isOver) this.owner.onInformational?.(headers);
  }

  onHeaders(headers: HeaderMap, endOfStream: boolean): void {
    clearTimeout(this.tryTimer);
    this.idleTimer?.refresh();
    this.endRetry();
    const status = Number(headers.get(":status"));
    const outcome = statusOfOutcome(this.headers!, status, headers);
    if (outcome !== undefined) this.report(outcome);
    const { retryPolicy, cluster } = this.options;
    const { stats } = cluster.use;
    const isRetriable = retryPolicy !== undefined && retriesAfterResponse(retryPolicy, status, headers);
    if (isRetriable && this.retry(endOfStream)) {
      countRetried(stats, status);
      return;
    }
    if (this.attempts > 1 && !isRetriable) stats.counters.upstream_rq_retry_success++;
    countResponse(stats, status, this.isInternal);
    this.responseBegan = true;
    if (endOfStream) this.complete();
    this.owner.onResponseHeaders(headers, endOfStream);
  }

  onData(bytes: Uint8Array, endOfStream: boolean): void {
    if (!this.responseBegan || this.isOver) return;
    this.idleTimer?.refresh();
    if (endOfStream) this.complete();
    this.owner.onResponseData(bytes, endOfStream);
  }

  onTrailers(trailers: HeaderMap): void {
    if (!this.responseBegan || this.isOver) return;
    const outcome = statusOfOutcome(this.headers!, undefined, trailers);
    if (outcome !== undefined) this.report(outcome);
    this.complete();
    this.owner.onResponseTrailers(trailers);
  }

  onDrain(): void {
    this.setBlocked(false);
  }

  onReset(reset: UpstreamReset): void {
    if (this.isOver) return;
    this.stream = undefined;
    this.clearTryTimers();
    this.endRetry();
    if (reset.reason !== "overflow") this.report(undefined);
    // As Envoy: a request that nothing was done for went to nobody.
    else this.endpoint = undefined;
    if (this.responseBegan) {
      this.finish();
      this.owner.onCut(cutBy(reset));
      return;
    }
    const { retryPolicy } = this.options;
    if (retryPolicy && retriesAfterReset(retryPolicy, reset) && this.retry(true)) return;
    this.finish();
    this.fail(upstreamReset(reset, this.attempts > 1));
  }

  private attempt(): void {
    const { cluster, onEndpoint, retryPolicy, demand } = this.options;
    if (cluster.resolving) {
      // Names of a cluster that has just come: nobody knows yet whether there are endpoints.
      void cluster.resolving.then(() => this.isOver || this.attempt());
      return;
    }
    this.attempts++;
    const endpoint = this.wantedEndpoint() ?? cluster.balancer.choose(this.tried);
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
    const elapsedMs = this.endedAt === undefined ? 0 : performance.now() - this.endedAt;
    onEndpoint?.(this.headers!, endpoint, { attempt: this.attempts, elapsedMs });
    const pool = cluster.poolOf(endpoint, demand);
    this.host = pool.host;
    this.callOff = pool.request(this, (stream) => this.send(stream));
  }

  private wantedEndpoint(): Endpoint | undefined {
    const { endpoint } = this.options;
    return endpoint && (endpoint.health === "healthy" || endpoint.health === "degraded")
      ? endpoint
      : undefined;
  }

  private send(stream: UpstreamStream): void {
    this.stream = stream;
    this.countAttempt();
    const { body } = this;
    if (body.ended) this.armTryTimer();
    this.armIdleTimer();
    stream.sendHeaders(this.headers!, !this.hasBody);
    if (this.hasBody && body.sendTo(stream)) this.setBlocked(false);
  }

  private setBlocked(blocked: boolean): void {
    if (blocked === this.isBlocked) return;
    this.isBlocked = blocked;
    this.owner.onRequestBlocked(blocked);
  }

  private endRequest(trailers: HeaderMap | undefined): void {
    this.body.end(trailers);
    this.requestEnded();
  }

  /** The times that a response may take begin with the end of the request. */
  private requestEnded(): void {
    this.endedAt = performance.now();
    const { timeoutMs } = this.options;
    if (timeoutMs > 0) this.timer = setTimeout(() => this.expire("response_timeout"), timeoutMs);
    if (this.stream) this.armTryTimer();
  }

  private armTryTimer(): void {
    const ms = this.options.retryPolicy?.perTryTimeoutMs ?? 0;
    if (ms > 0 && !this.responseBegan)
      this.tryTimer = setTimeout(() => this.tryExpired("upstream_per_try_timeout"), ms);
  }

  private armIdleTimer(): void {
    const ms = this.options.retryPolicy?.perTryIdleTimeoutMs ?? 0;
    if (ms > 0) this.idleTimer = setTimeout(() => this.tryExpired("upstream_per_try_idle_timeout"), ms);
  }

  private clearTryTimers(): void {
    clearTimeout(this.tryTimer);
    clearTimeout(this.idleTimer);
  }

  private tryExpired(details: string): void {
    const { retryPolicy } = this.options;
    const { counters } = this.options.cluster.use.stats;
    if (details === "upstream_per_try_timeout") counters.upstream_rq_per_try_timeout++;
    else counters.upstream_rq_per_try_idle_timeout++;
    this.report(504);
    this.endRetry();
    if (!this.responseBegan && retryPolicy && retriesAfterTimeout(retryPolicy) && this.retry(false)) return;
    this.giveUp(details);
  }

  private expire(details: string): void {
    this.options.cluster.use.stats.counters.upstream_rq_timeout++;
    if (this.host) this.host.rq_timeout++;
    if (this.stream && !this.responseBegan) this.report(504);
    this.giveUp(details);
  }

  private giveUp(details: string): void {
    const reply = timedOut(this.options.timeoutStatus ?? 504, details);
    this.finish();
    this.abandon();
    if (this.responseBegan) this.owner.onCut({ flag: reply.flag, details: reply.details });
    else this.fail(reply);
  }

  private fail(reply: GatewayReply): void {
    countResponse(this.options.cluster.use.stats, reply.status, this.isInternal);
    this.owner.onFailure(reply);
  }

  private countAttempt(): void {
    this.options.cluster.use.stats.counters.upstream_rq_total++;
    this.host!.rq_total++;
    this.host!.rq_active++;
    this.busyHost = this.host;
  }

  private endAttempt(): void {
    if (this.busyHost) this.busyHost.rq_active--;
    this.busyHost = undefined;
  }

  private get isInternal(): boolean {
    return this.headers?.get("x-envoy-internal") === "true";
  }

  /** The response has come whole. */
  private complete(): void {
    this.finish();
    const ms = this.endedAt === undefined ? 0 : performance.now() - this.endedAt;
    countTime(this.options.cluster.use.stats, ms, this.isInternal);
  }

  /** Tries again if it may. `isSettled`: nothing more comes of the attempt before. */
  private retry(isSettled: boolean): boolean {
    const { cluster, demand } = this.options;
    const policy = this.options.retryPolicy!;
    if (!this.body.isRepeatable) return false;
    const { use, limits } = cluster.circuit(demand?.priority);
    const limit = findRetryLimit(policy, this.attempts, limits, use);
    const { counters } = use.stats;
    if (limit !== undefined) {
      if (limit === "URX") counters.upstream_rq_retry_limit_exceeded++;
      else counters.upstream_rq_retry_overflow++;
      this.owner.onFlag?.(limit);
      return false;
    }
    counters.upstream_rq_retry++;
    counters.upstream_rq_retry_backoff_exponential++;
    this.endAttempt();
    this.clearTryTimers();
    if (!isSettled) this.abandon();
    this.stream = undefined;
    use.retries++;
    this.isRetry = true;
    this.retryTimer = setTimeout(() => this.attempt(), backOffMs(policy, this.attempts));
    return true;
  }

  private endRetry(): void {
    if (!this.isRetry) return;
    this.isRetry = false;
    const { cluster, demand } = this.options;
    cluster.circuit(demand?.priority).use.retries--;
  }

  private report(status: number | undefined): void {
    this.options.cluster.balancer.report(this.endpoint!, status);
    if (this.host) countOutcome(this.host, status);
  }

  private abandon(): void {
    this.callOff?.();
    this.stream?.cancel();
    this.stream = undefined;
  }

  private finish(): void {
    this.isOver = true;
    this.endAttempt();
    this.endRetry();
    clearTimeout(this.timer);
    clearTimeout(this.retryTimer);
    this.clearTryTimers();
  }

  /** `ip:port` of the endpoint. */
  get address(): string | undefined {
    return this.endpoint && addressOf(this.endpoint);
  }
}
