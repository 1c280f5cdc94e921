import { errorText, SystemError } from "../system-error.ts";
import { callbackNames, LogLevel, wasiModules } from "./abi.ts";
import type { Context } from "./context.ts";
import { ContextTable } from "./context-table.ts";
import { createHostFunctions } from "./hostcalls/host-functions.ts";
import { GuestMemory } from "./memory.ts";
import { allocatorNames, type PluginModule } from "./module.ts";
import { observeExports, observeImports, type VmObserver } from "./observer.ts";
import type { Outside } from "./outside.ts";
import type { CallKind } from "./pending-calls.ts";
import { ProcExit, wasiImports } from "./wasi.ts";
import { type WasmFunction, type WasmInstance, type WasmMemory, wasm } from "./web-assembly.ts";

/** Tells a watchdog in another thread when guests run. */
export interface Heartbeat {
  /** `plugin` is whose guest it is; before a plugin has a context there, the module's name. */
  enter(plugin?: string): void;
  leave(): void;
}

export interface VmSettings {
  /** Plugins of the same id, configuration and module share a Vm; shared data and queues are by this id. */
  readonly vmId: string;
  readonly configuration: Uint8Array;
  /** What the guest sees by WASI as its environment variables. */
  readonly environment: ReadonlyMap<string, string>;
  readonly heartbeat?: Heartbeat;
  readonly observer?: VmObserver;
}

/** The exports of a guest that the host calls. */
export type Guest = Readonly<Record<string, WasmFunction | undefined>>;

const stackFrames = 8;
const maxActions = 10_000;
const maxCallNumber = 2 ** 30 - 1;

/** An instance of a module, with the contexts in it. When the guest traps it is lost, and nothing else is. */
export class Vm {
  readonly module: PluginModule;
  readonly settings: VmSettings;
  readonly outside: Outside;
  readonly memory: GuestMemory;
  readonly guest: Guest;
  readonly contexts = new ContextTable();
  /** Why the Vm is lost. */
  failure: Error | undefined;
  private readonly wasmMemory: WasmMemory;
  private readonly allocator: WasmFunction;
  /** Whose callback runs; none while the guest starts or allocates. */
  private current: Context | undefined;
  private effective: Context | undefined;
  private running = false;
  private holds = 0;
  private actions: (() => void)[] = [];
  private lastCall = 0;
  private lastName = 1;

  /**
   * Instantiates and starts the guest.
   * @throws SystemError `plugin-start`
   */
  constructor(module: PluginModule, settings: VmSettings, outside: Outside) {
    this.module = module;
    this.settings = settings;
    this.outside = outside;
    try {
      settings.heartbeat?.enter(module.name);
      const exports = observeExports(this.instantiate().exports, settings.observer, () => this.wasmMemory);
      this.wasmMemory = exports[module.memoryName] as WasmMemory;
      this.allocator = allocatorNames.map((name) => functionOf(exports[name])).find(Boolean)!;
      this.memory = new GuestMemory(this.wasmMemory, (size) => this.allocate(size));
      this.guest = Object.fromEntries(callbackNames.map((name) => [name, functionOf(exports[name])]));
      this.start(exports);
    } catch (error) {
      throw new SystemError("plugin-start", `${module.name} does not start: ${describeTrap(error)}`, error);
    } finally {
      settings.heartbeat?.leave();
    }
  }

  get memoryBytes(): number {
    return this.wasmMemory.buffer.byteLength;
  }

  /** A token for a call that the guest makes. */
  nextToken(kind: CallKind): number {
    this.lastCall = (this.lastCall % maxCallNumber) + 1;
    return ((this.lastCall << 2) | kind) >>> 0;
  }

  /** A token for a name that the guest has resolved: as in Envoy they are counted by themselves, from 2. */
  nextNameToken(): number {
    this.lastName = (this.lastName % maxCallNumber) + 1;
    return this.lastName;
  }

  /**
   * Calls the guest for a context, and then does what had to wait until the guest returned. Gives 0 when the Vm is or
   * gets lost.
   */
  call(context: Context, callback: WasmFunction, a: number, b = 0, c = 0, d?: number, e = 0): number {
    if (this.failure) return 0;
    const { heartbeat } = this.settings;
    let result = 0;
    this.current = context;
    this.running = true;
    heartbeat?.enter(context.root.settings.name);
    try {
      result = Number(d === undefined ? callback(a, b, c) : callback(a, b, c, d, e));
    } catch (error) {
      this.fail(error);
    }
    heartbeat?.leave();
    this.current = undefined;
    this.effective = undefined;
    this.running = false;
    if (this.failure) this.notifyFailure();
    else if (this.actions.length > 0 && this.holds === 0) this.runActions();
    return result >>> 0;
  }

  /** Calls the guest with something that only this callback may see: what had to wait is done when it is gone. */
  holdActions(run: () => void): void {
    this.holds++;
    run();
    this.holds--;
    if (!this.failure && this.holds === 0 && !this.running) this.runActions();
  }

  /** The context that a host function is for. */
  get context(): Context {
    const { effective, current } = this;
    if (effective !== undefined && this.contexts.find(effective.id) === effective) return effective;
    if (current === undefined)
      throw new Error("this host function must not be called by a start function or an allocator");
    return current;
  }

  /** Makes host functions work on another context until the callback returns. */
  setEffectiveContext(id: number): boolean {
    const found = this.contexts.find(id);
    // 0 is the Vm's own: it means that none is in the callback's place.
    if (found || id === 0) this.effective = found;
    return found !== undefined || id === 0;
  }

  /** Does it now, or when the guest has returned: it must not be entered a second time. */
  afterCall(action: () => void): void {
    if (!this.running) action();
    else if (this.actions.push(action) > maxActions)
      throw new Error(`more than ${maxActions} things to do after one callback`);
  }

  /** Ends the Vm, for good. */
  close(): void {
    this.failure ??= new Error("the Vm was closed");
    this.actions = [];
    this.contexts.takeAll();
  }

  /** Writes to the log, for the guest or, `ofHost`, about it. */
  log(level: LogLevel, message: string, ofHost = false): void {
    if (level < this.outside.logLevel()) return;
    const context = this.effective ?? this.current;
    const settings = context?.root.settings;
    this.outside.log({
      level,
      message,
      ofHost,
      plugin: settings?.name ?? this.module.name,
      rootId: settings?.rootId ?? "",
      vmId: this.settings.vmId,
      contextId: context?.id ?? 0,
    });
  }

  private instantiate(): WasmInstance {
    const wasi = wasiImports({
      memory: () => this.wasmMemory,
      env: this.settings.environment,
      write: (level, line) => this.log(level === "error" ? LogLevel.Error : LogLevel.Info, line),
      realtimeNs: () => this.outside.now(),
      monotonicNs: () => this.outside.monotonicNow(),
    });
    const modules = [
      ["env", createHostFunctions(this)],
      ...wasiModules.map((name) => [name, wasi] as const),
    ] as const;
    const observed = modules.map(([name, functions]) => [
      name,
      observeImports(name, functions, this.settings.observer, () => this.wasmMemory),
    ]);
    return new wasm.Instance(this.module.compiled, Object.fromEntries(observed));
  }

  /** As proxy-wasm-cpp-host: a reactor's `_initialize` and then its main function, or a command's `_start`. */
  private start(exports: Readonly<Record<string, unknown>>): void {
    const initialize = functionOf(exports._initialize);
    if (!initialize) {
      runCommand(functionOf(exports._start));
      return;
    }
    initialize();
    const main = functionOf(exports.main);
    if (main) main(0, 0);
    else functionOf(exports.__main_void)?.();
  }

  private allocate(size: number): number {
    const { current, effective } = this;
    this.current = undefined;
    this.effective = undefined;
    const at = Number(this.allocator(size));
    this.current = current;
    this.effective = effective;
    return at;
  }

  /** What was waiting when the guest returned, and nothing that comes meanwhile: that is done by its own call. */
  private runActions(): void {
    const due = this.actions;
    this.actions = [];
    for (const action of due) action();
  }

  private fail(error: unknown): void {
    this.log(LogLevel.Critical, `the plugin's Vm is lost: ${describeTrap(error)}`, true);
    this.failure = error instanceof Error ? error : new Error(String(error));
    this.actions = [];
  }

  private notifyFailure(): void {
    for (const context of this.contexts.takeAll()) context.onVmFailure();
  }
}

/** What a guest died of, with the innermost of its functions. */
export function describeTrap(error: unknown): string {
  const frames = error instanceof Error ? (error.stack ?? "").split("\n") : [];
  const guest = frames.filter((frame) => frame.includes("wasm://")).slice(0, stackFrames);
  const names = guest.map((frame) => frame.trim().replace(/ \(wasm:.*$/, ""));
  return [errorText(error), ...names].join(" ").slice(0, 2000);
}

/** A command that ends itself without an error has started well. */
function runCommand(start: WasmFunction | undefined): void {
  try {
    start?.();
  } catch (error) {
    if (!(error instanceof ProcExit) || error.code !== 0) throw error;
  }
}

function functionOf(value: unknown): WasmFunction | undefined {
  return typeof value === "function" ? (value as WasmFunction) : undefined;
}
