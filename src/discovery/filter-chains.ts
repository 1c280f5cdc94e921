import { PluginPhase } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { sameItems } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { filterChainResource, type SnapshotResource } from "../xds/snapshot.ts";
import { phases, runsAtPort } from "./select-plugins.ts";

const phaseNames: Readonly<Record<PluginPhase, string>> = {
  [PluginPhase.AUTHN]: "authn",
  [PluginPhase.AUTHZ]: "authz",
  [PluginPhase.STATS]: "stats",
  [PluginPhase.UNSPECIFIED_PHASE]: "unspecified",
};

/** The name of the ECDS resource with the plugins of a phase, at a port: `match` may limit a plugin to some ports. */
export function chainName(phase: PluginPhase, port: number): string {
  return `chain.${phaseNames[phase]}.${port}`;
}

/**
 * Puts filter chains together, one for each phase and port, from plugins in their order and what each was encoded to.
 * A chain of the same filters as before is the same resource.
 */
export function createFilterChains() {
  type Plugin = IstioConfig<"WasmPlugin">;
  let last = new Map<string, SnapshotResource>();
  return (
    ports: readonly number[],
    plugins: readonly Plugin[],
    encoded: readonly SnapshotResource[],
  ): readonly SnapshotResource[] => {
    const next = new Map<string, SnapshotResource>();
    for (const port of ports) {
      for (const phase of phases) {
        const name = chainName(phase, port);
        const filters = encoded.filter((_, index) => {
          const plugin = plugins[index]!;
          return plugin.spec.phase === phase && runsAtPort(plugin, port);
        });
        const known = last.get(name);
        const same = known && sameItems(known.filters ?? [], filters);
        next.set(name, same ? known : filterChainResource(name, filters));
      }
    }
    last = next;
    return [...next.values()];
  };
}
