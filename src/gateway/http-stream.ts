import { FilterChain } from "../proxy-wasm/filter-chain.ts";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type {
  Direction,
  FilterFactory,
  HeaderLine,
  LocalResponse,
  PropertyValue,
  StreamHost,
} from "../proxy-wasm/index.ts";
import { askerOf } from "../proxy-wasm/local-reply.ts";
import type { ActiveCluster } from "./active-cluster.ts";
import type { Endpoint } from "./cluster-config.ts";
import type { Downstream, DownstreamEvents } from "./downstream.ts";
import { bindFilters } from "./filters/native-filter.ts";
import { Forwarding, type ForwardingOwner } from "./forwarding.ts";
import {
  clusterNotFound,
  type GatewayReply,
  routeNotFound,
  type StreamCut,
  upgradeRefused,
} from "./local-replies.ts";
import { takeRequestPolicy } from "./request-policy.ts";
import { responseLines } from "./response-headers.ts";
import {
  editForEndpoint,
  editRequest,
  editResponse,
  replyHeaders,
  routeAnswer,
  type ValuesFor,
} from "./route-effects.ts";
import { filterConfigsOf, filterSwitchOf } from "./route-filters.ts";
import type { ForwardAction, PerFilterConfig, SelectedRoute } from "./route-table.ts";
import { selectRoute } from "./select-route.ts";
import type { SharedBuckets } from "./shared-buckets.ts";
import type { StreamPlan, StreamWorld } from "./stream-plan.ts";
import { findProperty } from "./stream-properties.ts";
import { StreamTimers } from "./stream-timers.ts";
import { valuesOf } from "./stream-values.ts";
import { demandOf, upstreamHosts } from "./upstream-choice.ts";

const upgradeStatus = "101";

/** One request and its response on their way through filters, upstream and back. */
export class HttpStream implements StreamHost, ForwardingOwner, DownstreamEvents {
  readonly plan: StreamPlan;
  readonly downstream: Downstream;
  readonly chain: FilterChain;
  readonly startedAt = Date.now();
  readonly startedMs = performance.now();
  /** Envoy's response flags. */
  flags: string[] = [];
  selected: SelectedRoute | undefined;
  cluster: ActiveCluster | undefined;
  forwarding: Forwarding | undefined;
  /** Milliseconds since the start; undefined while it has not come. */
  requestEndMs: number | undefined;
  upstreamFirstMs: number | undefined;
  upstreamLastMs: number | undefined;
  downstreamFirstMs: number | undefined;
  /** Of a response that went out whole. */
  downstreamLastMs: number | undefined;
  endMs: number | undefined;
  transportFailure: string | undefined;
  /** The filters have let the request through. */
  reachedRouter = false;
  /** What was written to the client. */
  sentHeaders: HeaderMap | undefined;
  readonly sentBytes = { request: 0, response: 0 };
  private readonly world: StreamWorld;
  private readonly valuesFor: ValuesFor = (coming) => valuesOf(this, coming);
  private readonly random = Math.floor(Math.random() * 2 ** 31);
  private requestHeaders: HeaderMap | undefined;
  private hasRoute = false;
  private firstRoute: SelectedRoute | undefined;
  private forcedEndpoint: Endpoint | undefined;
  /** Why a direction's source waits: bit 1 a filter holds too much, bit 2 the other end takes no more. */
  private readonly waits = { request: 0, response: 0 };
  private isOver = false;
  private readonly timers: StreamTimers;

  constructor(world: StreamWorld, plan: StreamPlan, downstream: Downstream) {
    this.world = world;
    this.plan = plan;
    this.downstream = downstream;
    const filters = plan.hasNative ? bindFilters(plan.filters, this) : (plan.filters as FilterFactory[]);
    const watched = world.recorder.isArmed ? world.recorder.watch(filters, this) : filters;
    this.chain = new FilterChain(watched, this, { bufferLimitBytes: plan.bufferLimitBytes });
    this.timers = new StreamTimers(this, plan.http);
    world.stats.startStream(this);
  }

  // What the client's side calls:

  onHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.requestHeaders = headers;
    if (endOfStream) this.endRequest();
    if (this.plan.hasSwitches) this.firstRoute = this.route();
    if (this.downstream.isUpgrade && !this.allowsUpgrade(headers)) this.refuse(upgradeRefused, headers);
    else this.chain.requestHeaders(headers, endOfStream);
  }

  onData(bytes: Uint8Array, endOfStream: boolean): void {
    if (endOfStream) this.endRequest();
    else this.timers.touch();
    this.chain.requestData(bytes, endOfStream);
  }

  onTrailers(trailers: HeaderMap): void {
    this.endRequest();
    this.chain.requestTrailers(trailers);
  }

  onDrain(): void {
    this.wait("response", 2, false);
  }

  onFault(reply: GatewayReply): void {
    if (!this.isOver) this.reply(reply);
  }

  /** Answers a request that no filter gets to see: gRPC as gRPC. */
  refuse(reply: GatewayReply, request: HeaderMap): void {
    this.chain.request.headers = request;
    this.chain.asker = askerOf(request);
    this.reply(reply);
  }

  onClosed(): void {
    if (this.isOver) return;
    this.flags.push("DC");
    this.chain.details ??= "downstream_remote_disconnect";
    this.finish();
  }

  // What the filter chain calls:

  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void {
    if (direction === "request") this.forward(headers, endOfStream);
    else this.respond(headers, endOfStream);
  }

  sendData(direction: Direction, bytes: Uint8Array, endOfStream: boolean): void {
    this.sentBytes[direction] += bytes.length;
    if (direction === "request") {
      this.forwarding?.data(bytes, endOfStream);
      return;
    }
    this.timers.touch();
    if (!this.downstream.sendData(bytes, endOfStream)) this.wait("response", 2, true);
    if (endOfStream) this.complete();
  }

  sendTrailers(direction: Direction, trailers: HeaderMap): void {
    if (direction === "request") {
      this.forwarding?.sendTrailers(trailers);
      return;
    }
    this.downstream.sendTrailers(trailers);
    this.complete();
  }

  reset(): void {
    this.downstream.reset();
    this.finish();
  }

  setPaused(direction: Direction, paused: boolean): void {
    this.wait(direction, 1, paused);
  }

  clearRouteCache(): void {
    this.hasRoute = false;
  }

  property(path: readonly string[]): PropertyValue | undefined {
    return findProperty(path, this);
  }

  upstreamHosts(): readonly HeaderLine[] {
    this.route();
    return upstreamHosts(this.cluster);
  }

  overrideUpstreamHost(address: string): boolean {
    this.route();
    this.forcedEndpoint = this.cluster?.findEndpoint(address);
    return this.forcedEndpoint !== undefined;
  }

  // What the way upstream calls:

  onInformational(headers: HeaderMap): void {
    if (this.plan.http.proxy100Continue) this.downstream.sendInformational(headers);
  }

  onResponseData(bytes: Uint8Array, endOfStream: boolean): void {
    if (endOfStream) this.upstreamLastMs = this.elapsedMs;
    this.chain.responseData(bytes, endOfStream);
  }

  onResponseTrailers(trailers: HeaderMap): void {
    this.upstreamLastMs = this.elapsedMs;
    this.chain.responseTrailers(trailers);
  }

  onFailure(reply: GatewayReply): void {
    this.transportFailure = reply.transport;
    this.replyForUpstream(reply);
  }

  onCut({ flag, details }: StreamCut): void {
    this.flags.push(flag);
    this.chain.reset(details);
  }

  onFlag(flag: string): void {
    this.flags.push(flag);
  }

  onRequestBlocked(blocked: boolean): void {
    this.wait("request", 2, blocked);
  }

  onResponseHeaders(headers: HeaderMap, endOfStream: boolean): void {
    const now = this.elapsedMs;
    this.upstreamFirstMs = now;
    if (endOfStream) this.upstreamLastMs = now;
    if (!this.plan.router.suppressEnvoyHeaders)
      headers.set("x-envoy-upstream-service-time", String(Math.round(now - (this.requestEndMs ?? now))));
    if (this.selected) {
      editResponse(this.selected, headers, valuesOf(this, { headers }));
      this.addAttemptCount(headers);
    }
    this.chain.responseHeaders(headers, endOfStream);
  }

  get buckets(): SharedBuckets | undefined {
    return this.world.buckets;
  }

  get elapsedMs(): number {
    return performance.now() - this.startedMs;
  }

  /** The route of the request as its headers are now. */
  route(): SelectedRoute | undefined {
    const { requestHeaders, plan } = this;
    if (this.hasRoute || !requestHeaders) return this.selected;
    this.hasRoute = true;
    const request = { headers: requestHeaders, random: this.random };
    this.selected = plan.table && selectRoute(plan.table, request);
    this.cluster = this.selected && this.world.clusters.find(this.selected.cluster);
    this.timers.useRoute(this.selected?.action, requestHeaders);
    return this.selected;
  }

  /** The configuration that the route has for a filter. */
  perFilter(name: string): PerFilterConfig | undefined {
    return filterConfigsOf(this.route(), name)[0];
  }

  /** All of them, the most specific first. */
  perFilters(name: string): PerFilterConfig[] {
    return filterConfigsOf(this.route(), name);
  }

  /** Whether the route that the request came with switches a filter on or off. */
  firstSwitch(name: string): boolean | undefined {
    this.firstRoute ??= this.route();
    return filterSwitchOf(this.firstRoute, name);
  }

  private allowsUpgrade(headers: HeaderMap): boolean {
    const type = headers.get("upgrade")?.toLowerCase() ?? "";
    const action = this.route()?.action;
    const ofRoute = action?.kind === "forward" ? action.upgrades.get(type) : undefined;
    return ofRoute ?? this.plan.http.upgradeTypes.includes(type);
  }

  private forward(headers: HeaderMap, endOfStream: boolean): void {
    this.requestHeaders = headers;
    this.reachedRouter = true;
    const selected = this.route();
    if (!selected) this.reply(routeNotFound);
    else if (selected.action.kind !== "forward")
      this.reply(routeAnswer(selected, headers, this.plan.router, this.valuesFor));
    else if (!this.cluster) this.replyForUpstream(clusterNotFound(selected.action.clusterNotFoundStatus));
    else this.forwardTo(this.cluster, selected, selected.action, headers, endOfStream);
  }

  private forwardTo(
    cluster: ActiveCluster,
    selected: SelectedRoute,
    action: ForwardAction,
    headers: HeaderMap,
    endOfStream: boolean,
  ): void {
    const { router } = this.plan;
    const policy = takeRequestPolicy(headers, selected, action, router);
    const edits = { selected, action, policy, router };
    editRequest(edits, headers, valuesOf(this));
    this.forwarding = new Forwarding(this, {
      cluster,
      timeoutMs: this.downstream.isUpgrade ? 0 : policy.timeoutMs,
      timeoutStatus: policy.timeoutStatus,
      retryPolicy: policy.retryPolicy,
      bufferLimitBytes: this.plan.bufferLimitBytes,
      demand: demandOf(cluster, action, this.downstream, headers),
      endpoint: this.forcedEndpoint,
      onEndpoint: (sent, endpoint, attempt) => editForEndpoint(edits, sent, endpoint, attempt),
    });
    this.forwarding.start(headers, endOfStream);
  }

  private addAttemptCount(headers: HeaderMap): void {
    if (this.selected?.virtualHost.includeAttemptCountInResponse && this.forwarding)
      headers.set("x-envoy-attempt-count", String(this.forwarding.attempts));
  }

  private respond(headers: HeaderMap, endOfStream: boolean): void {
    this.downstreamFirstMs = this.elapsedMs;
    this.timers.touch();
    const status = headers.get(":status")!;
    const isUpgrade = this.downstream.isUpgrade && status === upgradeStatus;
    const lines = responseLines(headers, this.plan.http, isUpgrade);
    lines.unshift([":status", status]);
    if (this.plan.http.requestIdInResponse) this.addRequestId(lines);
    this.sentHeaders = new HeaderMap(lines);
    this.downstream.sendHeaders(this.sentHeaders, endOfStream);
    if (endOfStream) this.complete();
  }

  /** In place of the upstream's response. */
  private replyForUpstream(reply: GatewayReply): void {
    const headers = new HeaderMap([...reply.headers]);
    this.addAttemptCount(headers);
    this.reply({ ...reply, headers: headers.lines });
  }

  /** What a route that forwards says of responses holds for replies too. */
  editReply(reply: LocalResponse): LocalResponse {
    const isFinal = "isFinal" in reply && reply.isFinal === true;
    const selected = isFinal ? undefined : this.route();
    return selected?.action.kind === "forward"
      ? { ...reply, headers: replyHeaders(selected, reply, this.valuesFor) }
      : reply;
  }

  private addRequestId(lines: HeaderLine[]): void {
    const id = this.requestHeaders?.get("x-request-id");
    if (id !== undefined) lines.push(["x-request-id", id]);
  }

  private endRequest(): void {
    this.requestEndMs = this.elapsedMs;
    this.timers.requestEnded();
  }

  reply(reply: GatewayReply): void {
    if (reply.flag !== "") this.flags.push(reply.flag);
    this.chain.sendLocalResponse(reply);
  }

  private wait(direction: Direction, reason: 1 | 2, waits: boolean): void {
    const before = this.waits[direction];
    const after = waits ? before | reason : before & ~reason;
    this.waits[direction] = after;
    if ((before === 0) === (after === 0) || this.isOver) return;
    if (direction === "request") this.downstream.setPaused(after !== 0);
    else this.forwarding?.setPaused(after !== 0);
  }

  private complete(): void {
    this.downstreamLastMs = this.elapsedMs;
    this.finish();
  }

  private finish(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.endMs = this.elapsedMs;
    this.timers.clear();
    this.forwarding?.cancel();
    this.chain.end();
    this.world.onStreamEnd(this);
  }
}
