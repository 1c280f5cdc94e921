import { errorText } from "../system-error.ts";
import { LogLevel } from "./abi.ts";
import { HttpContext } from "./http-context.ts";
import type { FilterCallbacks, FilterFactory, HttpFilter } from "./http-filter.ts";
import type { PluginModule } from "./module.ts";
import type { Outside } from "./outside.ts";
import { PluginContext, type PluginSettings } from "./plugin-context.ts";
import { createReloadSchedule } from "./reload-schedule.ts";
import { createTcpContext, type TcpCallbacks, type TcpContext } from "./tcp-context.ts";
import { describeTrap, type VmSettings } from "./vm.ts";
import type { VmLease, VmPool } from "./vm-pool.ts";

/** What becomes of streams when the plugin's Vm is lost: a 503, on without the plugin, or a 503 until a new Vm runs. */
export type FailStrategy = "close" | "open" | "reload";

/** All that makes a plugin. */
export interface PluginSpec {
  readonly name: string;
  readonly module: PluginModule;
  readonly settings: PluginSettings;
  readonly vmSettings: VmSettings;
  readonly failStrategy: FailStrategy;
}

export interface PluginStatus {
  readonly state: "running" | "failed" | "closed";
  /** Why its Vm was lost, the last time. */
  readonly failure: string | undefined;
  /** How many Vms it has lost. */
  readonly failures: number;
  readonly streams: number;
  readonly memoryBytes: number;
}

/** A plugin that runs: a link for filter chains. */
export interface Plugin extends FilterFactory {
  readonly name: string;
  status(): PluginStatus;
  /** For a TCP connection that begins. */
  createTcpContext(callbacks: TcpCallbacks): TcpContext;
  /** Calls the guest's `proxy_on_foreign_function`. */
  callForeignFunction(id: number, argument: Uint8Array): void;
  /** The streams that are there end with it; then it is done in the guest. */
  close(): void;
}

/** The plugin in one Vm, with the streams that began in it. */
interface Generation {
  readonly root: PluginContext;
  readonly lease: VmLease;
  streams: number;
  retired: boolean;
}

/** A guest that holds up its end does so no longer than this. */
const shutdownMs = 10_000;

/**
 * Starts a plugin in the Vm of its key.
 * @throws SystemError `plugin-start`
 */
export function startPlugin(spec: PluginSpec, pool: VmPool, outside: Outside): Plugin {
  const schedule = createReloadSchedule(() => outside.monotonicNow());
  let current = startGeneration();
  let closed = false;
  let failures = 0;
  let failure: string | undefined;
  return {
    name: spec.name,
    status,
    createFilter,
    createTcpContext: (callbacks) => {
      const generation = enter();
      return createTcpContext(generation.root, callbacks, () => leave(generation));
    },
    callForeignFunction: (id, argument) => current.root.onForeignFunction(id, argument),
    close,
  };

  function createFilter(callbacks: FilterCallbacks): HttpFilter {
    const generation = enter();
    return new HttpContext(generation.root, callbacks, () => leave(generation));
  }

  function enter(): Generation {
    renewIfDue();
    current.streams++;
    return current;
  }

  function leave(generation: Generation): void {
    generation.streams--;
    retireIfUnused(generation);
  }

  function startGeneration(): Generation {
    const lease = pool.acquire(spec.module, spec.vmSettings);
    try {
      const root = new PluginContext(lease.vm, spec.settings);
      root.start();
      root.onLost = onLost;
      schedule.started();
      return { root, lease, streams: 0, retired: false };
    } catch (error) {
      lease.release();
      throw error;
    }
  }

  function onLost(reason: Error): void {
    failures++;
    failure = errorText(reason);
    schedule.failed();
    if (!closed) outside.pluginLost?.(spec.name, describeTrap(reason));
  }

  /** A Vm that is lost, or that the plugin does not want any more, is followed by another. */
  function renewIfDue(): void {
    const { root, lease } = current;
    const lost = lease.vm.failure !== undefined && spec.failStrategy === "reload" && schedule.isDue();
    if (closed || !(lost || root.rebuildWanted)) return;
    root.rebuildWanted = false;
    const old = current;
    try {
      current = startGeneration();
    } catch (error) {
      schedule.failed();
      root.vm.log(
        LogLevel.Error,
        `plugin ${spec.name} could not be started again: ${errorText(error)}`,
        true,
      );
      return;
    }
    retire(old);
  }

  function retire(generation: Generation): void {
    generation.retired = true;
    retireIfUnused(generation);
  }

  function retireIfUnused(generation: Generation): void {
    const { root, lease, streams, retired } = generation;
    if (!retired || streams > 0) return;
    const cancel = outside.setTimer(shutdownMs, () => root.finish());
    root.shutDown(() => {
      cancel();
      lease.release();
    });
  }

  function close(): void {
    if (closed) return;
    closed = true;
    retire(current);
  }

  function status(): PluginStatus {
    const { lease, streams } = current;
    const lost = lease.vm.failure !== undefined;
    const state = closed ? "closed" : lost ? "failed" : "running";
    return { state, failure, failures, streams, memoryBytes: lost ? 0 : lease.vm.memoryBytes };
  }
}
