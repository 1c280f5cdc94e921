import { Action, BufferType, type PeerType, Status, StreamType } from "./abi.ts";
import type { Body, GuestBuffer } from "./body.ts";
import { Context } from "./context.ts";
import type { PluginContext } from "./plugin-context.ts";
import type { PropertyValue } from "./property-values.ts";

/** Who carries a TCP connection for a plugin. */
export interface TcpCallbacks {
  close(side: "downstream" | "upstream"): void;
  /** Goes on where a callback has paused. Envoy has it for downstream only. */
  resume(): void;
  property(path: readonly string[]): PropertyValue | undefined;
}

/** A plugin on one TCP connection. */
export interface TcpContext {
  onNewConnection(): Action;
  /** The data may be changed in place. */
  onData(side: "downstream" | "upstream", data: Body, endOfStream: boolean): Action;
  onClose(side: "downstream" | "upstream", peer: PeerType): void;
  /** The connection is over: the guest is told that it is done, logs it, and deletes it. */
  end(): void;
}

export function createTcpContext(
  root: PluginContext,
  callbacks: TcpCallbacks,
  onEnd: () => void,
): TcpContext {
  return new GuestTcpContext(root, callbacks, onEnd);
}

class GuestTcpContext extends Context implements TcpContext {
  readonly root: PluginContext;
  private readonly callbacks: TcpCallbacks;
  private readonly onEnd: () => void;
  private readonly data: { downstream: Body | undefined; upstream: Body | undefined } = {
    downstream: undefined,
    upstream: undefined,
  };

  constructor(root: PluginContext, callbacks: TcpCallbacks, onEnd: () => void) {
    super(root.vm);
    this.root = root;
    this.callbacks = callbacks;
    this.onEnd = onEnd;
  }

  onNewConnection(): Action {
    const { vm, id } = this;
    const { proxy_on_context_create, proxy_on_new_connection } = vm.guest;
    if (proxy_on_context_create) vm.call(this, proxy_on_context_create, id, this.root.id);
    return this.actionOf(proxy_on_new_connection ? vm.call(this, proxy_on_new_connection, id) : 0);
  }

  onData(side: "downstream" | "upstream", data: Body, endOfStream: boolean): Action {
    const { vm, id } = this;
    const { proxy_on_downstream_data, proxy_on_upstream_data } = vm.guest;
    const callback = side === "downstream" ? proxy_on_downstream_data : proxy_on_upstream_data;
    this.data[side] = data;
    const action = this.actionOf(
      callback ? vm.call(this, callback, id, data.length, endOfStream ? 1 : 0) : 0,
    );
    if (action === Action.Continue) this.data[side] = undefined;
    return action;
  }

  onClose(side: "downstream" | "upstream", peer: PeerType): void {
    const { guest } = this.vm;
    const callback =
      side === "downstream"
        ? guest.proxy_on_downstream_connection_close
        : guest.proxy_on_upstream_connection_close;
    if (callback) this.vm.call(this, callback, this.id, peer);
  }

  end(): void {
    const { vm, id } = this;
    const { proxy_on_done, proxy_on_log, proxy_on_delete } = vm.guest;
    for (const callback of [proxy_on_done, proxy_on_log, proxy_on_delete])
      if (callback) vm.call(this, callback, id);
    vm.contexts.delete(this);
    this.onEnd();
  }

  override onVmFailure(): void {
    if (this.root.settings.failOpen) this.callbacks.resume();
    else this.closeBoth();
  }

  override buffer(type: BufferType): GuestBuffer | undefined {
    if (type === BufferType.DownstreamData) return this.data.downstream;
    return type === BufferType.UpstreamData ? this.data.upstream : super.buffer(type);
  }

  override property(path: readonly string[]): PropertyValue | undefined {
    return super.property(path) ?? this.callbacks.property(path);
  }

  override continueStream(type: StreamType): Status {
    if (type === StreamType.Downstream) this.vm.afterCall(() => this.callbacks.resume());
    return super.continueStream(type);
  }

  override closeStream(type: StreamType): Status {
    if (type === StreamType.Downstream) this.vm.afterCall(() => this.callbacks.close("downstream"));
    if (type === StreamType.Upstream) this.vm.afterCall(() => this.callbacks.close("upstream"));
    return Status.Ok;
  }

  private actionOf(result: number): Action {
    if (!this.vm.failure) return result === 0 ? Action.Continue : Action.Pause;
    return this.root.settings.failOpen ? Action.Continue : Action.Pause;
  }

  private closeBoth(): void {
    this.callbacks.close("downstream");
    this.callbacks.close("upstream");
  }
}
