import { createCanaryOutside } from "./canary-outside.ts";
import { compileModule, digestOf, type PluginModule } from "./module.ts";
import type { Outside } from "./outside.ts";
import { type FailStrategy, type Plugin, type PluginSpec, startPlugin } from "./plugin.ts";
import type { Heartbeat } from "./vm.ts";
import { createVmPool } from "./vm-pool.ts";

/** What a plugin is to be. What is left out is empty. */
export interface PluginOptions {
  readonly name: string;
  readonly module: PluginModule;
  readonly rootId?: string;
  readonly vmId?: string;
  readonly configuration?: string | Uint8Array;
  readonly vmConfiguration?: string | Uint8Array;
  readonly environment?: Readonly<Record<string, string>>;
  /** `close` if it is left out. */
  readonly failStrategy?: FailStrategy;
  readonly allowOnHeadersStopIteration?: boolean;
}

export interface PluginHostOptions {
  /** What the memory of a Vm may grow to; 1 GiB if it is left out. */
  readonly maxMemoryBytes?: number;
  /** Beats while guests run, for a watchdog in another thread. */
  readonly heartbeat?: Heartbeat;
}

/** Runs plugins in this thread. */
export interface PluginHost {
  /**
   * Compiles a module, once for each content for as long as somebody has it.
   * @throws SystemError `module-invalid`
   */
  compile(bytes: Uint8Array, name?: string): Promise<PluginModule>;
  /**
   * Starts and configures a plugin. One that would share its Vm with plugins that run is tried in a Vm of its own before.
   * @throws SystemError `plugin-start`
   */
  start(options: PluginOptions): Plugin;
  /**
   * Starts and configures a plugin in a Vm of its own, cut off from the network, and drops it.
   * @throws SystemError `plugin-start`
   */
  check(options: PluginOptions): void;
  /** How many Vms there are. */
  readonly vmCount: number;
}

export function createPluginHost(outside: Outside, options: PluginHostOptions = {}): PluginHost {
  const pool = createVmPool(outside);
  const modules = new Map<string, WeakRef<PluginModule>>();
  const compiling = new Map<string, Promise<PluginModule>>();
  const dropped = new FinalizationRegistry<string>((digest) => {
    if (!modules.get(digest)?.deref()) modules.delete(digest);
  });
  return {
    compile,
    // Unlike Envoy: a plugin with a Vm of its own is its own canary; it takes no stream before it is configured.
    start(plugin) {
      const spec = specOf(plugin);
      if (pool.isShared(spec.module, spec.vmSettings)) runCanary(spec);
      return startPlugin(spec, pool, outside);
    },
    check: (plugin) => runCanary(specOf(plugin)),
    get vmCount() {
      return pool.size;
    },
  };

  async function compile(bytes: Uint8Array, name?: string): Promise<PluginModule> {
    const digest = digestOf(bytes);
    const known = modules.get(digest)?.deref();
    if (known) return known;
    const begun = compiling.get(digest) ?? compileAnew(digest, bytes, name);
    compiling.set(digest, begun);
    return begun;
  }

  async function compileAnew(digest: string, bytes: Uint8Array, name?: string): Promise<PluginModule> {
    try {
      const module = await compileModule(bytes, { name, maxMemoryBytes: options.maxMemoryBytes });
      modules.set(digest, new WeakRef(module));
      dropped.register(module, digest);
      return module;
    } finally {
      compiling.delete(digest);
    }
  }

  function runCanary(spec: PluginSpec): void {
    const canary = createCanaryOutside(outside);
    startPlugin(spec, createVmPool(canary), canary).close();
  }

  function specOf(plugin: PluginOptions): PluginSpec {
    const { name, module, rootId = "", failStrategy = "close", allowOnHeadersStopIteration } = plugin;
    const configuration = bytesOf(plugin.configuration);
    return {
      name,
      module,
      failStrategy,
      settings: {
        name,
        rootId,
        configuration,
        allowOnHeadersStopIteration,
        failOpen: failStrategy === "open",
      },
      vmSettings: {
        vmId: plugin.vmId ?? "",
        configuration: bytesOf(plugin.vmConfiguration),
        environment: new Map(Object.entries(plugin.environment ?? {})),
        heartbeat: options.heartbeat,
      },
    };
  }
}

function bytesOf(value: string | Uint8Array = ""): Uint8Array {
  return typeof value === "string" ? Buffer.from(value) : value;
}
