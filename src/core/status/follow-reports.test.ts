import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { freePort } from "../../../test/peers/ports.ts";
import { until } from "../../../test/peers/until.ts";
import { eventsPage, servePages } from "../../http-server.ts";
import { silentLog } from "../../log.ts";
import type { PluginReport } from "../../xds/plugin-report.ts";
import { followReports } from "./follow-reports.ts";
import { createReportTable, sumReports } from "./report-table.ts";

const report = (name: string, more: Partial<PluginReport> = {}): PluginReport => ({
  ...{ name, version: "v1", gateways: 1, programmed: 1, refused: 0, refusals: [], modules: {} },
  ...more,
});

/** A discovery's stream of reports: real HTTP, and what it says is said here. */
async function startReports(t: TestContext, first: unknown, port = 0) {
  const end = new AbortController();
  t.after(() => end.abort());
  const listeners = new Set<(data: string) => void>();
  const page = eventsPage((send, signal) => {
    if (first !== undefined) send(typeof first === "string" ? first : JSON.stringify(first));
    listeners.add(send);
    signal.addEventListener("abort", () => listeners.delete(send));
  });
  const pages = { "/debug/ecdsz": () => page };
  const bound = await servePages({ bind: "127.0.0.1", port, pages, signal: end.signal });
  return {
    ...{ port: bound, url: `http://127.0.0.1:${bound}`, listeners, stop: () => end.abort() },
    say(changed: readonly PluginReport[], removed: readonly string[] = []) {
      for (const send of listeners) send(JSON.stringify({ changed, removed }));
    },
  };
}

function follow(t: TestContext, ...targets: readonly string[]) {
  const end = new AbortController();
  t.after(() => end.abort());
  return followReports({ targets, log: silentLog, signal: end.signal });
}

suite("following discoveries", () => {
  test("adds up what all of them say, from the moment on at which each was heard", async (t) => {
    const one = await startReports(t, { changed: [report("ns.p")], removed: [] });
    const two = await startReports(t, { changed: [report("ns.p"), report("ns.q")], removed: [] });
    const known = follow(t, one.url, two.url);
    const first = await until("both are heard", () => known.value);
    assert.deepEqual(
      [first.following, [...first.reports.keys()], first.reports.get("ns.p")?.length],
      ["yes", ["ns.p", "ns.q"], 2],
    );
    two.say([report("ns.p", { programmed: 0 })], ["ns.q"]);
    await until("the change is there", () =>
      known.value?.reports.get("ns.p")?.some(({ programmed }) => programmed === 0),
    );
    assert.deepEqual([...known.value!.reports.keys()], ["ns.p"]);
  });

  test("without targets nobody is followed; with one that is away, nobody answers", async (t) => {
    assert.equal(follow(t).value?.following, "no");
    const known = follow(t, `http://127.0.0.1:${await freePort()}`);
    assert.equal((await until("it has failed", () => known.value)).following, "away");
  });

  test("one that is away does not keep another from being heard, and is heard when it comes", async (t) => {
    const one = await startReports(t, { changed: [report("ns.p")], removed: [] });
    const port = await freePort();
    const known = follow(t, one.url, `http://127.0.0.1:${port}`);
    assert.equal((await until("one is heard", () => known.value)).following, "yes");
    await startReports(t, { changed: [report("ns.q")], removed: [] }, port);
    await until("the other is heard", () => known.value?.reports.has("ns.q"));
  });

  test("what a discovery said counts until its replacement says something else", async (t) => {
    const before = await startReports(t, { changed: [report("ns.p"), report("ns.q")], removed: [] });
    const known = follow(t, before.url);
    await until("it is heard", () => known.value?.reports.size === 2);
    let fewest = 2;
    known.watch(({ reports }) => {
      fewest = Math.min(fewest, reports.size);
    });
    before.stop();
    const after = await startReports(
      t,
      { changed: [report("ns.q", { version: "v2" })], removed: [] },
      before.port,
    );
    await until("the other is heard", () => known.value?.reports.get("ns.q")?.[0]?.version === "v2");
    assert.deepEqual([[...known.value!.reports.keys()], fewest], [["ns.q"], 1]);
    after.stop();
    await until("nobody is left", () => known.value?.following === "away");
    assert.equal(known.value?.reports.size, 0);
  });

  test("what cannot be read ends the stream, and nothing else", async (t) => {
    const broken = await startReports(t, "{");
    const odd = await startReports(t, { changed: [{ name: "ns.x" }, 7, report("ns.p")], removed: 7 });
    const known = follow(t, broken.url, odd.url);
    await until("both are settled", () => known.value);
    assert.deepEqual([...known.value!.reports.keys()], ["ns.p"]);
  });

  test("large messages arrive whole", async (t) => {
    const many = Array.from({ length: 5000 }, (_, index) => report(`ns.p${index}`));
    const known = follow(t, (await startReports(t, { changed: many, removed: [] })).url);
    assert.equal((await until("it is there", () => known.value)).reports.size, 5000);
  });
});

suite("the sum of reports", () => {
  test("speaks of the current version only, and counts the gateways of a discovery that is behind", () => {
    const refused = { gateway: "g", reason: "no", hasModule: true };
    const reports = [
      report("ns.p", { version: "v2", gateways: 2, programmed: 2, modules: { a: 2 } }),
      report("ns.p", { version: "v1", gateways: 3, programmed: 3, modules: { old: 3 } }),
      report("ns.p", {
        version: "v2",
        gateways: 1,
        programmed: 0,
        refused: 1,
        refusals: [refused],
        modules: { a: 1 },
      }),
    ];
    const { gateways, programmed, refused: count, modules } = sumReports(reports, "v2")!;
    assert.deepEqual([gateways, programmed, count, modules], [6, 2, 1, { a: 3 }]);
    assert.equal(sumReports(reports, "v3"), undefined);
    assert.equal(sumReports([reports[1]!], "v2"), undefined);
  });

  test("refusals are told in one order, whichever discovery was heard first", () => {
    const refusedBy = (gateway: string) =>
      report("ns.p", { refused: 1, refusals: [{ gateway, reason: "no", hasModule: true }] });
    const [a, b] = [refusedBy("a"), refusedBy("b")];
    assert.deepEqual(sumReports([a, b], "v1"), sumReports([b, a], "v1"));
  });

  test("a discovery that is forgotten says nothing any more", () => {
    const table = createReportTable();
    table.apply("one", { changed: [report("ns.p")], removed: [] }, true);
    table.apply("two", { changed: [report("ns.p")], removed: [] }, true);
    table.forget("one");
    assert.equal(table.known().reports.get("ns.p")?.length, 1);
    table.forget("two");
    assert.deepEqual([table.known().following, table.known().reports.size], ["away", 0]);
  });
});
