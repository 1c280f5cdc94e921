import { PluginPhase, PluginType } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { WorkloadMode } from "../gen/istio/type/v1beta1/selector_pb.ts";
import { mapIncrementally, whenChanged } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { type ProxyNode, selects } from "./proxy.ts";

type Plugin = IstioConfig<"WasmPlugin">;

/** A gateway's plugins by phase, each list in the order of the filter chain. */
export type PluginsByPhase = Readonly<Record<PluginPhase, readonly Plugin[]>>;

const int32Min = -(2 ** 31);
const int32Max = 2 ** 31 - 1;

/** Phases in the order of the chain. */
export const phases = [
  PluginPhase.AUTHN,
  PluginPhase.AUTHZ,
  PluginPhase.STATS,
  PluginPhase.UNSPECIFIED_PHASE,
] as const;

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
  return byPhase(createPluginSelection(proxy, rootNamespace)(plugins));
}

/** The same, as one list, for a stream of lists: while no plugin changes its place, nothing is sorted again. */
export function createPluginSelection(
  proxy: ProxyNode,
  rootNamespace: string,
): (plugins: readonly Plugin[]) => readonly Plugin[] {
  const places = mapIncrementally((plugin: Plugin) =>
    applies(plugin, proxy, rootNamespace) ? placeOf(plugin, rootNamespace) : "",
  );
  const order = whenChanged((keys: readonly string[]) =>
    keys
      .map((key, index) => ({ key, index }))
      .filter(({ key }) => key !== "")
      .sort((a, b) => (a.key < b.key ? -1 : 1))
      .map(({ index }) => index),
  );
  return (plugins) => order(places(plugins)).map((index) => plugins[index]!);
}

/** Groups plugins in the order of the chain by their phases. */
export function byPhase(plugins: readonly Plugin[]): PluginsByPhase {
  const lists = phases.map((phase) => [phase, plugins.filter(({ spec }) => spec.phase === phase)]);
  return Object.fromEntries(lists) as unknown as PluginsByPhase;
}

/** A plugin's place in the chain as text: places sort as the plugins do. */
function placeOf({ namespace, name, spec }: Plugin, rootNamespace: string): string {
  const phase = phases.indexOf(spec.phase);
  const priority = String(int32Max - (spec.priority ?? int32Min)).padStart(10, "0");
  return `${phase} ${priority} ${namespace === rootNamespace ? 0 : 1} ${name}.${namespace}`;
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
