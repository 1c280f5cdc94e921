import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { fc, fuzzRuns } from "../../../test/peers/properties.ts";
import { GatewaySchema } from "../../gen/istio/networking/v1alpha3/gateway_pb.ts";
import type { Diagnostic } from "../../resource/diagnostic.ts";
import { emptyResourceSet, type WasmPlugin } from "../../resource/types.ts";
import { type ConvertedPlugin, emptyConversion } from "../convert-resources.ts";
import type { CoreState } from "../core.ts";
import { createPluginStatuses, type PluginStatuses } from "./plugin-statuses.ts";
import { createReportTable, type KnownReports, notFollowing, notHeardYet } from "./report-table.ts";

interface Written {
  readonly name: string;
  readonly plugin: WasmPlugin;
  readonly converted: ConvertedPlugin;
}

const names = ["a", "b", "c", "d"];
const remark = (name: string): Diagnostic => ({
  ...{ severity: "error", code: "INVALID_VALUE", message: "expected a string" },
  at: { ref: { kind: "WasmPlugin", namespace: "ns", name } },
});

const versionsOf = (name: string) =>
  [0, 1].map((generation): WasmPlugin => {
    const metadata = { name, namespace: "ns", server: { uid: name, generation, creationTimestamp: "" } };
    return { kind: "WasmPlugin", metadata, spec: {} } as WasmPlugin;
  });

const outcomesOf = (name: string) =>
  (["accepted", "disabled", "rejected"] as const).map(
    (state): ConvertedPlugin => ({
      status: { namespace: "ns", name, state, lastGood: false },
      config: undefined,
      diagnostics: state === "rejected" ? [remark(name)] : [],
    }),
  );

/** A few versions of each plugin with what may come of each: the same objects whenever they are there. */
const written: readonly Written[] = names.flatMap((name) => {
  const outcomes = outcomesOf(name);
  return versionsOf(name).flatMap((plugin) => outcomes.map((converted) => ({ name, plugin, converted })));
});

/** Of each name at most one version, in any order. */
const sets = fc.uniqueArray(fc.constantFrom(...written), { selector: ({ name }) => name });
const remarks = fc.uniqueArray(fc.constantFrom(...names.map(remark), remark("nowhere")));
const reported = fc.record({
  changed: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 2 }),
  programmed: fc.integer({ min: 0, max: 2 }),
  removed: fc.uniqueArray(fc.constantFrom(...names), { maxLength: 1 }),
  isFirst: fc.boolean(),
});
const step = fc.record({
  set: sets,
  remarks,
  reported: fc.option(reported, { nil: undefined }),
  lost: fc.boolean(),
  listens: fc.boolean(),
});

const gateway = { kind: "Gateway", namespace: "ns", name: "g", spec: create(GatewaySchema) } as const;

function stateOf(set: readonly Written[], diagnostics: readonly Diagnostic[], listens = true): CoreState {
  const config = { ...emptyConversion.config, Gateway: listens ? [gateway] : [] };
  return {
    conversion: { ...emptyConversion, config, plugins: set.map(({ converted }) => converted) },
    source: { set: { ...emptyResourceSet, wasmPlugins: set.map(({ plugin }) => plugin) }, diagnostics },
    diagnostics: () => diagnostics,
  };
}

function fresh(state: CoreState, known: KnownReports): PluginStatuses {
  const table = createPluginStatuses();
  table.update(state, known);
  return table.statuses;
}

const sorted = (statuses: PluginStatuses) => [...statuses].sort(([a], [b]) => (a < b ? -1 : 1));

suite("the statuses of plugins", () => {
  test("say after any changes what a new look at everything says, and which have become others", () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 8 }), (steps) => {
        const table = createPluginStatuses();
        const reports = createReportTable();
        for (const { set, remarks: said, reported: news, lost, listens } of steps) {
          const before = new Map(table.statuses);
          if (lost) reports.forget("d");
          if (news) {
            const { programmed, removed, isFirst } = news;
            const rest = { version: "v", gateways: 2, refused: 0, refusals: [], modules: {} };
            const changed = news.changed.map((name) => ({ name: `ns.${name}`, programmed, ...rest }));
            reports.apply("d", { changed, removed: removed.map((name) => `ns.${name}`) }, isFirst);
          }
          const state = stateOf(set, said, listens);
          const changed = table.update(state, reports.known());
          assert.deepEqual(sorted(table.statuses), sorted(fresh(state, reports.known())));
          for (const [key, status] of table.statuses)
            if (!changed.has(key)) assert.equal(status, before.get(key));
          for (const key of before.keys()) assert.ok(table.statuses.has(key) || changed.has(key));
        }
      }),
      { numRuns: fuzzRuns(300) },
    );
  });

  test("all of them change with who is followed", () => {
    const table = createPluginStatuses();
    const state = stateOf([written[0]!, written.find(({ name }) => name === "b")!], []);
    assert.equal(table.update(state, notHeardYet).size, 2);
    assert.equal(table.update(state, notHeardYet).size, 0);
    assert.equal(table.update(state, notFollowing).size, 2);
    const reports = createReportTable();
    reports.apply("d", { changed: [], removed: [] }, true);
    assert.equal(table.update(state, reports.known()).size, 2);
  });

  test("those that no gateway has change with the first listener", () => {
    const table = createPluginStatuses();
    const reports = createReportTable();
    const report = { version: "", gateways: 1, programmed: 1, refused: 0, refusals: [], modules: {} };
    reports.apply("d", { changed: [{ name: "ns.b", ...report }], removed: [] }, true);
    const set = [written[0]!, written[3]!];
    table.update(stateOf(set, [], false), reports.known());
    const said = () => table.statuses.get("WasmPlugin/ns/a")!.conditions[2]!;
    assert.match(said().message, /no Ingress counts.*spec.ingressClassName/);
    assert.deepEqual([...table.update(stateOf(set, [], true), reports.known())], ["WasmPlugin/ns/a"]);
    assert.match(said().message, /none is connected that it applies to/);
  });

  test("of many changes between two looks none is missed", () => {
    const table = createPluginStatuses();
    const state = stateOf([written[0]!], []);
    const reports = createReportTable();
    const report = { name: "ns.a", version: "", gateways: 1, refused: 0, refusals: [], modules: {} };
    reports.apply("d", { changed: [{ ...report, programmed: 0 }], removed: [] }, true);
    table.update(state, reports.known());
    const { revision } = reports.known();
    reports.apply("d", { changed: [{ ...report, programmed: 1 }], removed: [] }, false);
    const other = { ...report, programmed: 0 };
    const others = Array.from({ length: 60_000 }, (_, index) => ({ ...other, name: `ns.p${index}` }));
    reports.apply("d", { changed: others, removed: [] }, false);
    assert.equal(reports.known().changedSince(revision), undefined);
    assert.deepEqual([...table.update(state, reports.known())], ["WasmPlugin/ns/a"]);
  });
});
