import { sameItems } from "../../incremental.ts";
import type { Diagnostic } from "../../resource/diagnostic.ts";
import { type ResourceRef, refKey, refOf, type ServerMeta, type WasmPlugin } from "../../resource/types.ts";
import { splicesBetween } from "../../splices.ts";
import type { PluginReport } from "../../xds/plugin-report.ts";
import type { ConvertedPlugin } from "../convert-resources.ts";
import type { CoreState } from "../core.ts";
import { servedVersion } from "../mcp-snapshot.ts";
import { type PluginStatus, pluginStatus } from "./conditions.ts";
import { type KnownReports, notHeardYet, sumReports } from "./report-table.ts";

/** The status of one WasmPlugin. */
export interface StatusOfPlugin extends PluginStatus {
  readonly ref: ResourceRef;
  /** Which object, and which version of it, this is said of; undefined for one of a file. */
  readonly server: ServerMeta | undefined;
}

/** By `kind/namespace/name`. */
export type PluginStatuses = ReadonlyMap<string, StatusOfPlugin>;

/** What there is to say of each plugin. It follows what is known, and looks at what has changed only. */
export interface PluginStatusTable {
  readonly statuses: PluginStatuses;
  /** Takes what core and discoveries know now. Gives the keys of what it says something new of, or nothing any more. */
  update(state: CoreState, known: KnownReports): ReadonlySet<string>;
}

/** What is known of one plugin, and what was said for that. */
interface Entry {
  readonly ref: ResourceRef;
  plugin: WasmPlugin | undefined;
  converted: ConvertedPlugin | undefined;
  reports: readonly PluginReport[] | undefined;
  remarks: readonly Diagnostic[];
}

export function createPluginStatuses(): PluginStatusTable {
  const entries = new Map<string, Entry>();
  /** By the name under which discoveries report. */
  const keysByReport = new Map<string, string>();
  const statuses = new Map<string, StatusOfPlugin>();
  let plugins: readonly WasmPlugin[] = [];
  let converted: readonly ConvertedPlugin[] = [];
  let remarks: ReadonlyMap<string, readonly Diagnostic[]> = new Map();
  let remarked: readonly Diagnostic[] = [];
  let known: KnownReports = notHeardYet;
  let hasListeners = false;
  let changed = new Set<string>();

  function entryOf(ref: ResourceRef): Entry {
    const key = refKey(ref);
    changed.add(key);
    const entry = entries.get(key);
    if (entry) return entry;
    const reported = reportName(ref);
    const made = {
      ...{ ref, plugin: undefined, converted: undefined, remarks: none },
      reports: known.reports.get(reported),
    };
    entries.set(key, made);
    keysByReport.set(reported, key);
    return made;
  }

  function takePlugins(state: CoreState): void {
    const [next, outcomes] = [state.source.set.wasmPlugins, state.conversion.plugins];
    // No two plugins share an object in either list, so that whoever is moved in one of them is put back by it.
    const splices = [...splicesBetween(plugins, next), ...splicesBetween(converted, outcomes)];
    for (const { from, removed } of splices)
      for (const plugin of plugins.slice(from, from + removed))
        Object.assign(entryOf(refOf(plugin)), { plugin: undefined, converted: undefined });
    for (const { to, added } of splices)
      for (let place = to; place < to + added; place++)
        Object.assign(entryOf(refOf(next[place]!)), { plugin: next[place], converted: outcomes[place] });
    plugins = next;
    converted = outcomes;
  }

  function takeRemarks(all: readonly Diagnostic[]): void {
    if (sameItems(all, remarked)) return;
    const next = remarksByPlugin(all);
    for (const [key, list] of remarks) if (!next.has(key)) entryOf(list[0]!.at.ref!).remarks = none;
    for (const [key, list] of next)
      if (!sameItems(list, remarks.get(key) ?? none)) entryOf(list[0]!.at.ref!).remarks = list;
    remarks = next;
    remarked = all;
  }

  function takeReports(next: KnownReports): void {
    const isOther = next.following !== known.following || next.reports !== known.reports;
    const names = isOther ? undefined : next.changedSince(known.revision);
    known = next;
    const keys = names ? names.map((name) => keysByReport.get(name)) : entries.keys();
    for (const key of keys) {
      const entry = key === undefined ? undefined : entries.get(key);
      if (!entry) continue;
      const reports = known.reports.get(reportName(entry.ref));
      if (isOther || reports !== entry.reports) changed.add(key!);
      entry.reports = reports;
    }
  }

  function takeListeners({ conversion }: CoreState): void {
    const next = conversion.config.Gateway.length > 0;
    if (next !== hasListeners) for (const [key, { reports }] of entries) if (!reports) changed.add(key);
    hasListeners = next;
  }

  function say(key: string): void {
    const entry = entries.get(key)!;
    if (entry.converted || entry.remarks.length > 0)
      return void statuses.set(key, statusOf(entry, known, hasListeners));
    entries.delete(key);
    keysByReport.delete(reportName(entry.ref));
    statuses.delete(key);
  }

  return {
    statuses,
    update(state, next) {
      changed = new Set();
      takeReports(next);
      takePlugins(state);
      takeRemarks(state.source.diagnostics);
      takeListeners(state);
      for (const key of changed) say(key);
      return changed;
    },
  };
}

const kind: WasmPlugin["kind"] = "WasmPlugin";
const none: readonly Diagnostic[] = [];

function reportName({ namespace, name }: ResourceRef): string {
  return `${namespace}.${name}`;
}

function statusOf(
  { ref, plugin, converted, reports, remarks }: Entry,
  known: KnownReports,
  hasListeners: boolean,
): StatusOfPlugin {
  const config = converted?.config;
  const version = config && known.following === "yes" ? servedVersion(config) : undefined;
  const said = pluginStatus({
    plugin: converted?.status,
    diagnostics: [...remarks, ...(converted?.diagnostics ?? none)],
    holdsSecrets: config?.shownSpec !== undefined,
    report: reports && sumReports(reports, version),
    hasListeners,
    following: known.following,
  });
  return { ...said, ref, server: plugin?.metadata.server };
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
