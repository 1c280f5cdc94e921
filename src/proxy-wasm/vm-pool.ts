import { createHash } from "node:crypto";
import type { PluginModule } from "./module.ts";
import type { Outside } from "./outside.ts";
import { Vm, type VmSettings } from "./vm.ts";

/** A Vm in use, until it is released. */
export interface VmLease {
  readonly vm: Vm;
  release(): void;
}

/** The Vms of a thread: one for each key, for as long as a plugin uses it. */
export interface VmPool {
  /**
   * The Vm of the key, made if there is none that lives.
   * @throws SystemError `plugin-start`
   */
  acquire(module: PluginModule, settings: VmSettings): VmLease;
  /** Says whether a plugin uses a Vm of this key, so that a trap would take more than what is new. */
  isShared(module: PluginModule, settings: VmSettings): boolean;
  readonly size: number;
}

export function createVmPool(outside: Outside): VmPool {
  const entries = new Map<string, { readonly vm: Vm; users: number }>();
  return {
    acquire,
    isShared,
    get size() {
      return entries.size;
    },
  };

  function acquire(module: PluginModule, settings: VmSettings): VmLease {
    const key = keyOf(module, settings);
    const known = entries.get(key);
    const entry = known && !known.vm.failure ? known : { vm: new Vm(module, settings, outside), users: 0 };
    entries.set(key, entry);
    entry.users++;
    return { vm: entry.vm, release: () => release(key, entry) };
  }

  function release(key: string, entry: { readonly vm: Vm; users: number }): void {
    if (--entry.users > 0) return;
    entry.vm.close();
    if (entries.get(key) === entry) entries.delete(key);
  }

  function isShared(module: PluginModule, settings: VmSettings): boolean {
    const known = entries.get(keyOf(module, settings));
    return known !== undefined && !known.vm.failure;
  }
}

// Unlike Envoy: environment variables are part of the key, so that a change of them takes effect.
function keyOf({ digest }: PluginModule, { vmId, configuration, environment }: VmSettings): string {
  const variables = JSON.stringify([...environment].sort());
  const parts = [vmId, Buffer.from(configuration).toString("latin1"), variables, digest];
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}
