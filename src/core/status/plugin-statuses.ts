import type { Diagnostic } from "../../resource/diagnostic.ts";
import { type ResourceRef, refKey, refOf, type ServerMeta, type WasmPlugin } from "../../resource/types.ts";
import type { WasmPluginStatus } from "../convert-resources.ts";
import type { CoreState } from "../core.ts";
import { servedVersion } from "../mcp-snapshot.ts";
import { type PluginStatus, pluginStatus } from "./conditions.ts";
import { type KnownReports, sumReports } from "./report-table.ts";

/** The status of one WasmPlugin. */
export interface StatusOfPlugin extends PluginStatus {
  readonly ref: ResourceRef;
  /** Which object, and which version of it, this is said of; undefined for one of a file. */
  readonly server: ServerMeta | undefined;
}

/** By `kind/namespace/name`. What is said of a plugin stays the same object while it is the same. */
export type PluginStatuses = ReadonlyMap<string, StatusOfPlugin>;

/** A function from what core and discoveries know to the status of each plugin; it looks at what has changed only. */
export function createPluginStatuses(): (state: CoreState, known: KnownReports) => PluginStatuses {
  const remembered = new Map<
    string,
    { readonly inputs: readonly unknown[]; readonly status: StatusOfPlugin }
  >();
  return (state, known) => {
    const { conversion, source } = state;
    const plugins = new Map(source.set.wasmPlugins.map((plugin) => [refKey(refOf(plugin)), plugin]));
    const served = new Map(
      conversion.config.WasmPlugin.map((config) => [`${config.namespace}/${config.name}`, config]),
    );
    const remarks = remarksByPlugin([...source.diagnostics, ...conversion.diagnostics]);
    const outcomes = new Map(conversion.plugins.map((plugin) => [refKey({ kind, ...plugin }), plugin]));

    const statusOf = (key: string): StatusOfPlugin => {
      const plugin = plugins.get(key);
      const outcome = outcomes.get(key);
      const diagnostics = remarks.get(key) ?? none;
      const ref = outcome ? refOfStatus(outcome) : diagnostics[0]!.at.ref!;
      const config = served.get(`${ref.namespace}/${ref.name}`);
      const reports = known.reports.get(`${ref.namespace}.${ref.name}`);
      const inputs = [plugin, outcome, config, reports, known.following, ...diagnostics];
      const before = remembered.get(key);
      if (before && sameInputs(before.inputs, inputs)) return before.status;
      const version = config && known.following === "yes" ? servedVersion(config) : undefined;
      const said = pluginStatus({
        plugin: outcome,
        diagnostics,
        holdsSecrets: config?.shownSpec !== undefined,
        report: reports && sumReports(reports, version),
        following: known.following,
      });
      const status = { ...said, ref, server: plugin?.metadata.server };
      remembered.set(key, { inputs, status });
      return status;
    };

    const keys = new Set([...outcomes.keys(), ...remarks.keys()]);
    for (const key of remembered.keys()) if (!keys.has(key)) remembered.delete(key);
    return new Map([...keys].map((key) => [key, statusOf(key)]));
  };
}

const kind: WasmPlugin["kind"] = "WasmPlugin";
const none: readonly Diagnostic[] = [];

function refOfStatus({ namespace, name }: WasmPluginStatus): ResourceRef {
  return { kind, namespace, name };
}

function remarksByPlugin(diagnostics: readonly Diagnostic[]): ReadonlyMap<string, readonly Diagnostic[]> {
  const byPlugin = new Map<string, Diagnostic[]>();
  for (const diagnostic of diagnostics) {
    const { ref } = diagnostic.at;
    // Of one that has been moved elsewhere, or has another kind, nobody wants to hear here.
    if (ref?.kind !== kind || diagnostic.code === "KIND_IGNORED") continue;
    const key = refKey(ref);
    const list = byPlugin.get(key);
    if (list) list.push(diagnostic);
    else byPlugin.set(key, [diagnostic]);
  }
  return byPlugin;
}

function sameInputs(a: readonly unknown[], b: readonly unknown[]): boolean {
  return a.length === b.length && a.every((input, index) => input === b[index]);
}
