import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { kinds } from "../istio/kinds.ts";
import { readObject } from "../resource/read-object.ts";
import { combineFiles, type SourceFile, type SourceState } from "../resource/source-state.ts";
import { keepSpecAsText } from "../resource/spec-text.ts";
import type { PluginReport } from "../xds/plugin-report.ts";
import { diffTypes, type Snapshot } from "../xds/snapshot.ts";
import { defaultConvertOptions as options } from "./convert-options.ts";
import { type Conversion, convertResources, emptyConversion } from "./convert-resources.ts";
import { mcpSnapshot, servedVersion } from "./mcp-snapshot.ts";
import { createPluginStatuses } from "./status/plugin-statuses.ts";
import { createReportTable } from "./status/report-table.ts";

const type = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin" };
const [pluginsUrl] = kinds.WasmPlugin.mcpTypeUrls;

function objectOf(index: number, edit: number) {
  const name = `plugin-${String(index).padStart(5, "0")}`;
  return {
    ...type,
    metadata: { ...{ name, namespace: options.systemNamespace }, uid: name, generation: 1 + edit },
    spec: { url: "oci://a/b", defaultConfig: { edit }, matchRules: [{ domain: ["a.b"], config: { index } }] },
  };
}

/** Core's stations one after the other, for objects of a cluster: what an edit goes through. */
function createStations(count: number) {
  const files = Array.from({ length: count }, (_, index) => readObject(objectOf(index, 0), type));
  const reports = createReportTable();
  const table = createPluginStatuses();
  let state: SourceState | undefined;
  let conversion: Conversion = emptyConversion;
  let snapshot: Snapshot | undefined;

  function reportOf(name: string): PluginReport {
    const config = conversion.config.WasmPlugin.find((one) => one.name === name)!;
    const version = servedVersion(config);
    const all = { gateways: 1, programmed: 1, refused: 0, refusals: [], modules: {} };
    return { name: `${config.namespace}.${name}`, version, ...all };
  }

  function publish() {
    const resources = files.flatMap((file) => file.resources);
    const joined: SourceFile = { resources, diagnostics: files.flatMap((file) => file.diagnostics) };
    state = combineFiles([joined], state);
    conversion = convertResources(state.set, options, conversion);
    const before = snapshot?.get(pluginsUrl!);
    snapshot = mcpSnapshot(conversion.config, snapshot);
    const now = snapshot.get(pluginsUrl!)!;
    const said = table.update({ conversion, source: state, diagnostics: () => [] }, reports.known());
    return { sent: before ? diffTypes(before, now).changed : [...now.resources.values()], said };
  }

  publish();
  for (const plugin of state!.set.wasmPlugins) keepSpecAsText(plugin);
  const names = state!.set.wasmPlugins.map(({ metadata }) => metadata.name);
  reports.apply("discovery", { changed: names.map(reportOf), removed: [] }, true);
  publish();
  return {
    statuses: table.statuses,
    edit(index: number, edit: number) {
      files[index] = readObject(objectOf(index, edit), type, files[index]);
      const { sent, said } = publish();
      const { name } = objectOf(index, edit).metadata;
      reports.apply("discovery", { changed: [reportOf(name)], removed: [] }, false);
      return { sent, said, acknowledged: publish().said };
    },
  };
}

/** How often maps and sets are asked or written while something runs: what is done for each plugin shows there. */
function countLookups(run: () => void): number {
  let count = 0;
  const undo = [Map, Set, WeakMap, WeakSet].flatMap(({ prototype }) =>
    (["get", "set", "has", "add", "delete"] as const).flatMap((name) => {
      const original = Reflect.get(prototype, name) as ((...args: unknown[]) => unknown) | undefined;
      if (!original) return [];
      const counted = function (this: unknown, ...args: unknown[]) {
        count++;
        return original.apply(this, args);
      };
      Object.defineProperty(prototype, name, { value: counted, writable: true, configurable: true });
      return [
        () => Object.defineProperty(prototype, name, { value: original, writable: true, configurable: true }),
      ];
    }),
  );
  try {
    run();
  } finally {
    for (const restore of undo) restore();
  }
  return count;
}

suite("the work of an edit", () => {
  test("is that of one plugin, however many there are", () => {
    const lookups = [20, 200, 1000].map((count) => {
      const stations = createStations(count);
      stations.edit(7, 1);
      return countLookups(() => {
        const { sent, said, acknowledged } = stations.edit(7, 2);
        assert.deepEqual([sent.length, said.size, acknowledged.size], [1, 1, 1]);
        assert.equal(stations.statuses.size, count);
      });
    });
    assert.ok(lookups[0]! > 0);
    assert.deepEqual(lookups, [lookups[0], lookups[0], lookups[0]]);
  });
});
