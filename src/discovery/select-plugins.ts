import { PluginPhase, PluginType } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { WorkloadMode } from "../gen/istio/type/v1beta1/selector_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { type ProxyNode, selects } from "./proxy.ts";

type Plugin = IstioConfig<"WasmPlugin">;

/** A gateway's plugins by phase, each list in the order of the filter chain. */
export type PluginsByPhase = Readonly<Record<PluginPhase, readonly Plugin[]>>;

const int32Min = -(2 ** 31);

/**
 * The plugins that a proxy runs, in their order: those of the root namespace and of its own, whose selector matches;
 * within a phase by priority, highest first, no priority last (also behind negative ones). Ties go by name: what comes
 * over MCP has no creation time.
 */
export function selectPlugins(
  plugins: readonly Plugin[],
  proxy: ProxyNode,
  rootNamespace: string,
): PluginsByPhase {
  const selected = plugins.filter((plugin) => applies(plugin, proxy, rootNamespace));
  const ordered = selected
    .map((plugin) => ({
      plugin,
      root: plugin.namespace === rootNamespace,
      key: `${plugin.name}.${plugin.namespace}`,
    }))
    .sort(
      (a, b) =>
        priorityOf(b.plugin) - priorityOf(a.plugin) ||
        Number(b.root) - Number(a.root) ||
        (a.key < b.key ? -1 : 1),
    )
    .map(({ plugin }) => plugin);
  const inPhase = (phase: PluginPhase) => ordered.filter(({ spec }) => spec.phase === phase);
  return {
    [PluginPhase.AUTHN]: inPhase(PluginPhase.AUTHN),
    [PluginPhase.AUTHZ]: inPhase(PluginPhase.AUTHZ),
    [PluginPhase.STATS]: inPhase(PluginPhase.STATS),
    [PluginPhase.UNSPECIFIED_PHASE]: inPhase(PluginPhase.UNSPECIFIED_PHASE),
  };
}

/** Whether a plugin runs on a gateway's listener at this port (its `match`: any of a mode and ports). */
export function runsAtPort({ spec }: Plugin, port: number): boolean {
  if (spec.match.length === 0) return true;
  return spec.match.some(
    ({ mode, ports }) =>
      mode !== WorkloadMode.SERVER && (ports.length === 0 || ports.some(({ number }) => number === port)),
  );
}

function applies(plugin: Plugin, proxy: ProxyNode, rootNamespace: string): boolean {
  if (plugin.namespace !== rootNamespace && plugin.namespace !== proxy.namespace) return false;
  return plugin.spec.type !== PluginType.NETWORK && selects(plugin.spec.selector?.matchLabels ?? {}, proxy);
}

function priorityOf({ spec }: Plugin): number {
  return spec.priority ?? int32Min;
}
