import { SystemError } from "../system-error.ts";
import { BufferType, MapType, Status } from "./abi.ts";
import { ConstantBuffer, type GuestBuffer } from "./body.ts";
import { Context } from "./context.ts";
import { createGrpcCalls, type GrpcCalls } from "./grpc-calls.ts";
import type { HeaderMap } from "./header-map.ts";
import type { Cancel } from "./outside.ts";
import { createCalls, type PluginCalls } from "./plugin-calls.ts";
import { canonicalPath } from "./property-names.ts";
import type { PropertyValue } from "./property-values.ts";
import type { Vm } from "./vm.ts";

/** What a plugin is told, besides what its Vm is. */
export interface PluginSettings {
  /** The name of the plugin in logs and properties. */
  readonly name: string;
  /** Which of the plugins in a module is meant. */
  readonly rootId: string;
  readonly configuration: Uint8Array;
  /**
   * Lets a headers callback that pauses be followed by body callbacks. Always so for Higress' ABI. Otherwise a pause stops
   * all, as in Envoy.
   */
  readonly allowOnHeadersStopIteration?: boolean;
  /** What becomes of streams when the Vm is lost: they go on without the plugin, or fail. */
  readonly failOpen?: boolean;
}

/** How a property that a plugin has declared may be set. */
export interface PropertyPrototype {
  readonly readOnly: boolean;
}

const maxPrototypes = 1000;

/** A plugin in a Vm: the root of its streams' contexts. Calls, ticks and queues belong to it. */
export class PluginContext extends Context {
  readonly settings: PluginSettings;
  readonly root = this;
  readonly calls: PluginCalls;
  readonly grpc: GrpcCalls;
  readonly prototypes = new Map<string, PropertyPrototype>();
  /** Higress: the plugin wants a new Vm. */
  rebuildWanted = false;
  /** Told when the Vm is lost. */
  onLost: (reason: Error) => void = () => {};
  private readonly life: { root: PluginContext | undefined } = { root: this };
  private configuring = false;
  private tickMs = 0;
  private cancelTick: Cancel | undefined;
  private whenDone: (() => void) | undefined;

  constructor(vm: Vm, settings: PluginSettings) {
    super(vm);
    this.settings = settings;
    this.calls = createCalls(this);
    this.grpc = createGrpcCalls(this);
  }

  /**
   * Creates, starts and configures the plugin in the guest.
   * @throws SystemError `plugin-start` if the guest says no or traps
   */
  start(): void {
    const { vm, id, settings } = this;
    const { guest } = vm;
    this.configuring = true;
    if (guest.proxy_on_context_create) vm.call(this, guest.proxy_on_context_create, id, 0, 0);
    this.configuring = false;
    this.checkStarted(true, "proxy_on_context_create");
    this.ask("proxy_on_vm_start", vm.settings.configuration.length);
    this.configuring = true;
    this.ask("proxy_on_configure", settings.configuration.length);
    this.configuring = false;
  }

  private ask(name: string, size: number): void {
    const callback = this.vm.guest[name];
    this.checkStarted(!callback || this.vm.call(this, callback, this.id, size, 0) !== 0, name);
  }

  private checkStarted(accepted: boolean, name: string): void {
    const { vm, settings } = this;
    if (accepted && !vm.failure) return;
    const reason = vm.failure
      ? `trapped in ${name}: ${vm.failure.message}`
      : `refused its configuration (${name})`;
    this.close();
    throw new SystemError(
      "plugin-start",
      `plugin ${settings.name} (${vm.module.name}) ${reason}`,
      vm.failure,
    );
  }

  override onVmFailure(): void {
    this.onLost(this.vm.failure!);
    this.stopCalls();
    this.finish();
  }

  /** Called every so many ms, until it is 0; the time counts from the end of the callback. */
  setTickPeriod(ms: number): void {
    this.tickMs = ms;
    this.cancelTick?.();
    this.cancelTick = undefined;
    if (ms > 0 && this.vm.guest.proxy_on_tick) this.armTick();
  }

  private armTick(): void {
    this.cancelTick = this.vm.outside.setTimer(this.tickMs, () => this.vm.afterCall(() => this.tick()));
  }

  private tick(): void {
    const { vm, tickMs } = this;
    if (tickMs === 0 || vm.failure) return;
    this.cancelTick = undefined;
    vm.call(this, vm.guest.proxy_on_tick!, this.id, 0, 0);
    if (this.tickMs > 0 && !vm.failure && this.cancelTick === undefined) this.armTick();
  }

  /** For stores that outlive the plugin: what they keep leads to it only for as long as it lives. */
  createQueueOwner(onReady: (root: PluginContext) => void): () => void {
    const { life } = this;
    return () => life.root && onReady(life.root);
  }

  onQueueReady(queue: number): void {
    const { guest } = this.vm;
    if (guest.proxy_on_queue_ready) this.vm.call(this, guest.proxy_on_queue_ready, this.id, queue, 0);
  }

  onForeignFunction(id: number, argument: Uint8Array): void {
    const { vm } = this;
    const callback = vm.guest.proxy_on_foreign_function;
    if (!callback) return;
    const run = () => vm.call(this, callback, this.id, id, argument.length);
    vm.afterCall(() =>
      vm.holdActions(() => this.calls.withBuffer(BufferType.ForeignArguments, argument, run)),
    );
  }

  /** Tells the guest that it is over, and waits for its word if it wants that. */
  shutDown(done: () => void): void {
    const { vm, id } = this;
    this.whenDone = done;
    const callback = vm.guest.proxy_on_done;
    if (vm.failure || !callback || vm.call(this, callback, id, 0, 0) !== 0) this.finish();
  }

  /** The guest's word that a shutdown which it held up may go on. */
  done(): Status {
    if (!this.whenDone) return Status.NotFound;
    this.vm.afterCall(() => this.finish());
    return Status.Ok;
  }

  /** Deletes the plugin in the guest, once. */
  finish(): void {
    const { vm, id, whenDone } = this;
    if (!whenDone) return;
    this.whenDone = undefined;
    if (vm.guest.proxy_on_delete && !vm.failure) vm.call(this, vm.guest.proxy_on_delete, id, 0, 0);
    this.close();
    whenDone();
  }

  private close(): void {
    this.stopCalls();
    this.vm.contexts.delete(this);
  }

  private stopCalls(): void {
    this.life.root = undefined;
    this.tickMs = 0;
    this.cancelTick?.();
    this.calls.cancelAll();
    this.grpc.cancelAll();
  }

  callMap(type: MapType): HeaderMap | undefined {
    const { calls, grpc } = this;
    if (type === MapType.CallHeaders) return calls.headers;
    if (type === MapType.CallTrailers) return calls.trailers;
    if (type === MapType.GrpcInitialMetadata) return grpc.initialMetadata;
    return type === MapType.GrpcTrailingMetadata ? grpc.trailingMetadata : undefined;
  }

  callBuffer(type: BufferType): GuestBuffer | undefined {
    if (type === BufferType.VmConfiguration) return new ConstantBuffer(this.vm.settings.configuration);
    if (type !== BufferType.PluginConfiguration) return this.calls.buffer(type);
    return this.configuring ? new ConstantBuffer(this.settings.configuration) : undefined;
  }

  /** What a plugin may ask without a stream: about itself, and about the gateway. */
  ownProperty(path: readonly string[]): PropertyValue | undefined {
    return this.aboutItself(path) ?? this.vm.outside.property?.(canonicalPath(path));
  }

  private aboutItself([name, more]: readonly string[]): PropertyValue | undefined {
    if (more !== undefined) return undefined;
    if (name === "plugin_name") return this.settings.name;
    if (name === "plugin_root_id") return this.settings.rootId;
    if (name === "plugin_vm_id") return this.vm.settings.vmId;
    return name === "plugin_vm_memory" ? { uint: BigInt(this.vm.memoryBytes) } : undefined;
  }

  /** False if the name is declared already. */
  declareProperty(name: string, prototype: PropertyPrototype): boolean {
    if (this.prototypes.has(name) || this.prototypes.size >= maxPrototypes) return false;
    this.prototypes.set(name, prototype);
    return true;
  }
}
