import {
  Action,
  BodyAction,
  BufferType,
  HeadersAction,
  LogLevel,
  MapType,
  Status,
  StreamType,
} from "./abi.ts";
import type { Body, GuestBuffer } from "./body.ts";
import { Context, type LocalResponse } from "./context.ts";
import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { FilterCallbacks, HttpFilter } from "./http-filter.ts";
import type { PluginContext } from "./plugin-context.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Direction } from "./stream-host.ts";

/** What the guest may touch of a direction just now. */
interface Window {
  headers: HeaderMap | undefined;
  body: Body | undefined;
  trailers: HeaderMap | undefined;
  endOfStream: boolean;
}

const failStream: LocalResponse = {
  status: 503,
  headers: [],
  body: new Uint8Array(0),
  grpcStatus: 14,
  details: "wasm_fail_stream",
};
const closedDetails = "wasm_close_stream";
/** What a plugin may keep with a stream for others. */
const maxState = 1000;
const maxStateBytes = 16 * 1024 * 1024;

/** A plugin on one HTTP stream. */
export class HttpContext extends Context implements HttpFilter {
  readonly root: PluginContext;
  private readonly callbacks: FilterCallbacks;
  private readonly onEnd: () => void;
  private readonly request: Window = {
    headers: undefined,
    body: undefined,
    trailers: undefined,
    endOfStream: false,
  };
  private readonly response: Window = {
    headers: undefined,
    body: undefined,
    trailers: undefined,
    endOfStream: false,
  };
  private created = false;
  /** The request has come this far; before that, a response is none of the guest's business. */
  private started = false;
  private failed = false;
  private logging = false;
  private reroutes = true;
  private storedBytes = 0;

  constructor(root: PluginContext, callbacks: FilterCallbacks, onEnd: () => void) {
    super(root.vm);
    this.root = root;
    this.callbacks = callbacks;
    this.onEnd = onEnd;
  }

  // What the filter chain calls:

  onHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): HeadersAction {
    const { vm } = this;
    const isRequest = direction === "request";
    if (isRequest) this.create();
    else if (!this.started) return HeadersAction.Continue;
    this.started = true;
    const window = this[direction];
    window.headers = headers;
    window.endOfStream = endOfStream;
    const callback = isRequest ? vm.guest.proxy_on_request_headers : vm.guest.proxy_on_response_headers;
    const result = callback ? vm.call(this, callback, this.id, headers.size, endOfStream ? 1 : 0) : 0;
    const action = vm.failure
      ? this.fail(HeadersAction.Continue, HeadersAction.StopAllIterationAndWatermark)
      : this.headersAction(result);
    if (action === HeadersAction.Continue) window.headers = undefined;
    return action;
  }

  onData(direction: Direction, body: Body, endOfStream: boolean): BodyAction {
    if (!this.started) return BodyAction.Continue;
    const { vm } = this;
    const window = this[direction];
    window.body = body;
    window.endOfStream = endOfStream;
    const callback =
      direction === "request" ? vm.guest.proxy_on_request_body : vm.guest.proxy_on_response_body;
    const result = callback ? vm.call(this, callback, this.id, body.length, endOfStream ? 1 : 0) : 0;
    const action = vm.failure
      ? this.fail(BodyAction.Continue, BodyAction.StopIterationNoBuffer)
      : this.bodyAction(result);
    if (action === BodyAction.Continue) window.body = undefined;
    return action;
  }

  onTrailers(direction: Direction, trailers: HeaderMap): Action {
    if (!this.started) return Action.Continue;
    const { vm } = this;
    const window = this[direction];
    window.trailers = trailers;
    const callback =
      direction === "request" ? vm.guest.proxy_on_request_trailers : vm.guest.proxy_on_response_trailers;
    const result = callback ? vm.call(this, callback, this.id, trailers.size) : 0;
    const said = result === Action.Continue ? Action.Continue : Action.Pause;
    const action = vm.failure ? this.fail<Action>(Action.Continue, Action.Pause) : said;
    if (action === Action.Continue) window.trailers = undefined;
    return action;
  }

  onLog(): void {
    const { vm } = this;
    this.create();
    this.logging = true;
    if (vm.guest.proxy_on_log) vm.call(this, vm.guest.proxy_on_log, this.id);
    this.logging = false;
  }

  // As Envoy: what on_done says is of no account for an HTTP stream.
  onDestroy(): void {
    const { vm, id } = this;
    const { proxy_on_done, proxy_on_delete } = vm.guest;
    if (this.created && proxy_on_done) vm.call(this, proxy_on_done, id);
    if (this.created && proxy_on_delete) vm.call(this, proxy_on_delete, id);
    vm.contexts.delete(this);
    this.onEnd();
  }

  // Unlike Envoy: a stream that waits for a plugin whose Vm is lost fails, or goes on, at once; there it waits for its timeout.
  override onVmFailure(): void {
    const directions: readonly Direction[] = ["request", "response"];
    for (const direction of directions) {
      if (!this.callbacks.isStopped(direction)) continue;
      if (this.root.settings.failOpen) this.callbacks.resume(direction);
      else this.fail(0, 0);
    }
  }

  private create(): void {
    const { vm } = this;
    if (this.created || vm.failure) return;
    this.created = true;
    if (vm.guest.proxy_on_context_create)
      vm.call(this, vm.guest.proxy_on_context_create, this.id, this.root.id);
  }

  // Unlike Envoy 1.40: what fails open lets the very stream pass in which it traps; there that one gets a 503.
  /** The stream fails once, and its response passes; what fails open goes on as if the plugin were not there. */
  private fail<T>(open: T, closed: T): T {
    if (this.failed || this.root.settings.failOpen) return open;
    this.failed = true;
    this.callbacks.sendLocalResponse(failStream);
    return closed;
  }

  private headersAction(result: number): HeadersAction {
    if (result > HeadersAction.StopAllIterationAndWatermark)
      return HeadersAction.StopAllIterationAndWatermark;
    if (result === HeadersAction.ContinueAndEndStream) return HeadersAction.Continue;
    if (result !== HeadersAction.StopIteration) return result as HeadersAction;
    const bodyRuns = this.root.settings.allowOnHeadersStopIteration || this.vm.module.abi === "0.2.100";
    return bodyRuns ? HeadersAction.StopIteration : HeadersAction.StopAllIterationAndWatermark;
  }

  private bodyAction(result: number): BodyAction {
    return result > BodyAction.StopIterationNoBuffer
      ? BodyAction.StopIterationNoBuffer
      : (result as BodyAction);
  }

  // What host functions call:

  override readableMap(type: MapType): HeaderMap | undefined {
    if (type > MapType.ResponseTrailers) return super.readableMap(type);
    if (this.logging) return this.loggedMap(type);
    if (type === MapType.RequestTrailers) return this.request.trailers;
    return type === MapType.ResponseTrailers ? this.response.trailers : this.writableMap(type);
  }

  override writableMap(type: MapType): HeaderMap | undefined {
    if (this.logging) return undefined;
    if (type === MapType.RequestHeaders) return this.request.headers;
    if (type === MapType.ResponseHeaders) return this.response.headers;
    if (type === MapType.RequestTrailers) return this.trailers("request");
    return type === MapType.ResponseTrailers ? this.trailers("response") : undefined;
  }

  /** While the stream is logged, all but the request's trailers can be read. */
  private loggedMap(type: MapType): HeaderMap | undefined {
    if (type === MapType.RequestHeaders) return this.callbacks.headers("request");
    if (type === MapType.ResponseHeaders) return this.callbacks.headers("response");
    return type === MapType.ResponseTrailers ? this.callbacks.trailers("response") : undefined;
  }

  /** Whoever writes trailers in the last callback of a body that has none makes them. */
  private trailers(direction: Direction): HeaderMap | undefined {
    const window = this[direction];
    if (!window.trailers && window.body && window.endOfStream)
      window.trailers = this.callbacks.addTrailers(direction);
    return window.trailers;
  }

  override get missingMapStatus(): Status {
    return this.logging ? Status.NotFound : Status.BadArgument;
  }

  override onMapChange(type: MapType): void {
    if (type === MapType.RequestHeaders && this.reroutes) this.callbacks.clearRouteCache();
  }

  override buffer(type: BufferType): GuestBuffer | undefined {
    if (type === BufferType.RequestBody) return this.request.body;
    return type === BufferType.ResponseBody ? this.response.body : super.buffer(type);
  }

  override property(path: readonly string[]): PropertyValue | undefined {
    const own = super.property(path);
    if (own !== undefined) return own;
    const view = {
      request: this.readableMap(MapType.RequestHeaders),
      response: this.readableMap(MapType.ResponseHeaders),
      responseTrailers: this.readableMap(MapType.ResponseTrailers),
    };
    return this.callbacks.property(path, view);
  }

  override setProperty(path: string, value: Uint8Array): Status {
    this.obeySwitch(path, Buffer.from(value).toString("latin1"));
    return this.store(`wasm.${path}`, value, this.root.prototypes.get(path)?.readOnly ?? false);
  }

  override setFilterState(name: string, value: Uint8Array): Status {
    return this.store(name, value, false);
  }

  private store(name: string, value: Uint8Array, readOnly: boolean): Status {
    const { state } = this.callbacks;
    const known = state.get(name);
    this.storedBytes += value.length - (known?.length ?? 0);
    const isFull = this.storedBytes > maxStateBytes || (!known && state.size >= maxState);
    if ((known && readOnly) || isFull) return Status.BadArgument;
    state.set(name, value);
    return Status.Ok;
  }

  /** Properties by which Higress' plugins tell the host what to do. */
  private obeySwitch(path: string, value: string): void {
    if (path === "clear_route_cache") this.reroutes = value !== "off";
    else if (path === "set_decoder_buffer_limit") this.limitBuffer("request", value);
    else if (path === "set_encoder_buffer_limit") this.limitBuffer("response", value);
    else if (path === "wasm_need_rebuild") this.root.rebuildWanted = value === "true";
  }

  private limitBuffer(direction: Direction, value: string): void {
    if (/^\d{1,10}$/.test(value)) this.callbacks.setBufferLimit(direction, Number(value));
    else
      this.vm.log(
        LogLevel.Warn,
        `the limit of a buffer is a number of bytes; found ${value.slice(0, 40)}`,
        true,
      );
  }

  override continueStream(type: StreamType): Status {
    if (type !== StreamType.Request && type !== StreamType.Response) return super.continueStream(type);
    const direction = type === StreamType.Request ? "request" : "response";
    this.vm.afterCall(() => this.callbacks.resume(direction));
    // As Envoy: the request's maps and body are gone, whichever direction goes on.
    this.request.headers = undefined;
    this.request.body = undefined;
    this.request.trailers = undefined;
    return Status.Ok;
  }

  override closeStream(type: StreamType): Status {
    if (type === StreamType.Request || type === StreamType.Response)
      this.vm.afterCall(() => this.callbacks.close(closedDetails));
    return Status.Ok;
  }

  override sendLocalResponse(response: LocalResponse): Status {
    this.vm.afterCall(() => this.callbacks.sendLocalResponse(response));
    return Status.Ok;
  }

  override clearRouteCache(): Status {
    this.callbacks.clearRouteCache();
    return Status.Ok;
  }

  override injectResponseBody(bytes: Uint8Array, endOfStream: boolean): Status {
    this.vm.afterCall(() => this.callbacks.injectResponseBody(bytes, endOfStream));
    return Status.Ok;
  }

  override upstreamHosts(): readonly HeaderLine[] | undefined {
    return this.callbacks.upstreamHosts();
  }

  override overrideUpstreamHost(address: string): boolean {
    return this.callbacks.overrideUpstreamHost(address);
  }
}
