import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { until } from "../../test/peers/until.ts";
import { DeltaDiscoveryRequestSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { silentLog } from "../log.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import type { DeltaDiscoveryResponse } from "../xds/ads.ts";
import { type AdsChannel, openAdsChannel } from "../xds/client.ts";
import { listenXds } from "../xds/listen.ts";
import { type ModuleDigests, withModules } from "../xds/module-digests.ts";
import type { PluginReport } from "../xds/plugin-report.ts";
import { type Reasons, refusalStatus } from "../xds/refusal.ts";
import { createXdsServer, type XdsServer } from "../xds/server.ts";
import {
  createSnapshot,
  createSnapshotType,
  filterChainResource,
  rawResource,
  type Snapshot,
  type SnapshotResource,
} from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { collectReports } from "./plugin-reports.ts";

const { extensionConfig: typeUrl, listener } = typeUrls;
const [digestA, digestB] = ["a", "b"].map((digit) => `sha256:${digit.repeat(64)}`) as [string, string];

let ended: AbortController;
let server: XdsServer;
let channel: AdsChannel;
/** By the label of gateways. */
let snapshots: Record<string, Watchable<Snapshot>>;

beforeEach(async () => {
  ended = new AbortController();
  snapshots = { one: createWatchable(), two: createWatchable() };
  server = createXdsServer({ snapshotFor: ({ cluster }) => snapshots[cluster]!, log: silentLog });
  channel = openAdsChannel(`127.0.0.1:${await listenXds(server, "127.0.0.1", 0, ended.signal)}`);
});
afterEach(() => {
  channel.close();
  ended.abort();
});

/** A plugin of a version, as discovery makes an ECDS resource of it. */
function plugin(name: string, source: string): SnapshotResource {
  return { ...rawResource(name, typeUrl, Buffer.from(`${name} ${source}`)), source };
}

function set(label: string, resources: readonly SnapshotResource[], listeners = ["0.0.0.0_80"]): void {
  const last = snapshots[label]!.value;
  snapshots[label]!.set(
    createSnapshot([
      createSnapshotType(typeUrl, resources, last?.get(typeUrl)),
      createSnapshotType(
        listener,
        listeners.map((name) => rawResource(name, listener, Buffer.from(name))),
        last?.get(listener),
      ),
    ]),
  );
}

/** A gateway that asks for plugins, and answers when it is told to. */
function connect(id: string, label: string, names: readonly string[], versions: Record<string, string> = {}) {
  const stream = channel.deltaAggregatedResources();
  const received: DeltaDiscoveryResponse[] = [];
  stream.on("data", (response: DeltaDiscoveryResponse) => received.push(response));
  stream.on("error", () => {});
  const ask = (resourceNamesSubscribe: readonly string[]) =>
    create(DeltaDiscoveryRequestSchema, {
      ...{ node: { id, cluster: label }, typeUrl, initialResourceVersions: versions },
      resourceNamesSubscribe: [...resourceNamesSubscribe],
    });
  stream.write(ask(names));
  return {
    received,
    ask: (more: readonly string[], modules: ModuleDigests = new Map()) =>
      void stream.write(withModules(ask(more), modules)),
    async answer(modules: Readonly<Record<string, string>> = {}, reasons: Reasons = new Map()) {
      const { nonce: responseNonce } = await until(`${id} has a response`, () => received.shift());
      const answer = create(DeltaDiscoveryRequestSchema, {
        ...{ typeUrl, responseNonce, errorDetail: refusalStatus(reasons) },
      });
      stream.write(withModules(answer, new Map(Object.entries(modules))));
    },
    close: () => stream.cancel(),
  };
}

/** A report as `version programmed/gateways`, with what is refused and the modules. */
function textOf({ version, programmed, gateways, refusals, modules }: PluginReport): string {
  const refused = refusals.map(
    ({ gateway, reason, hasModule }) => ` ${gateway}: ${reason}${hasModule ? "" : " (no module)"}`,
  );
  const counts = Object.entries(modules).map(([digest, count]) => ` ${digest.slice(0, 8)}×${count}`);
  return `${version} ${programmed}/${gateways}${refused.join("")}${counts.join("")}`;
}

function reports(): Record<string, string> {
  return Object.fromEntries([...collectReports(server)].map(([name, report]) => [name, textOf(report)]));
}

async function untilReports(expected: Record<string, string>): Promise<void> {
  await until(JSON.stringify(expected), () => JSON.stringify(reports()) === JSON.stringify(expected)).catch(
    () => {
      assert.deepEqual(reports(), expected);
    },
  );
}

suite("reports of plugins", () => {
  test("count who has acknowledged this version, with which module", async () => {
    set("one", [plugin("ns.p", "v1")]);
    const [a, b] = [connect("a", "one", ["ns.p"]), connect("b", "one", ["ns.p"])];
    await untilReports({ "ns.p": "v1 0/2" });
    await a.answer({ "ns.p": digestA });
    await untilReports({ "ns.p": "v1 1/2 sha256:a×1" });
    await b.answer({ "ns.p": digestB });
    await untilReports({ "ns.p": "v1 2/2 sha256:a×1 sha256:b×1" });
    set("one", [plugin("ns.p", "v2")]);
    // What they run now is said of the version before.
    await untilReports({ "ns.p": "v2 0/2" });
    await a.answer({ "ns.p": digestA });
    await untilReports({ "ns.p": "v2 1/2 sha256:a×1" });
    b.close();
    await untilReports({ "ns.p": "v2 1/1 sha256:a×1" });
  });

  test("tell refusals, and whether it was the module that was missing", async () => {
    set("one", [plugin("ns.p", "v1"), plugin("ns.q", "v1")]);
    const a = connect("a", "one", ["ns.p", "ns.q"]);
    const reasons = new Map([
      ["ns.p", "cannot be pulled"],
      ["ns.q", "bad config"],
    ]);
    await a.answer({ "ns.p": "", "ns.q": digestA }, reasons);
    await untilReports({
      "ns.p": "v1 0/1 a: ns.p: cannot be pulled (no module)",
      "ns.q": "v1 0/1 a: ns.q: bad config sha256:a×1",
    });
  });

  test("a plugin that a gateway has not asked for yet is not in effect there", async () => {
    set("one", [plugin("ns.p", "v1"), plugin("ns.q", "v1")]);
    const a = connect("a", "one", ["ns.p"]);
    await a.answer();
    await untilReports({ "ns.p": "v1 1/1", "ns.q": "v1 0/1" });
    a.ask(["ns.q"]);
    await a.answer();
    await untilReports({ "ns.p": "v1 1/1", "ns.q": "v1 1/1" });
  });

  test("gateways of several kinds count together, and those without listeners not at all", async () => {
    set("one", [plugin("ns.p", "v1")]);
    set("two", [plugin("ns.p", "v1"), plugin("ns.q", "v1")]);
    await connect("a", "one", ["ns.p"]).answer({ "ns.p": digestA });
    const b = connect("b", "two", ["ns.p", "ns.q"]);
    await b.answer({ "ns.p": digestA, "ns.q": digestB });
    await untilReports({ "ns.p": "v1 2/2 sha256:a×2", "ns.q": "v1 1/1 sha256:b×1" });
    set("two", [plugin("ns.p", "v1"), plugin("ns.q", "v1")], []);
    await untilReports({ "ns.p": "v1 1/1 sha256:a×2" });
  });

  test("who comes back with what it has is counted at once, with its modules", async () => {
    const p = plugin("ns.p", "v1");
    set("one", [p]);
    const a = connect("a", "one", ["ns.p"], { "ns.p": p.version });
    await untilReports({ "ns.p": "v1 1/1" });
    a.ask([], new Map([["ns.p", digestA]]));
    await untilReports({ "ns.p": "v1 1/1 sha256:a×1" });
  });

  test("an Envoy that takes over from another is one gateway", async () => {
    set("one", [plugin("ns.p", "v1")]);
    await connect("a", "one", ["ns.p"]).answer();
    await untilReports({ "ns.p": "v1 1/1" });
    const next = connect("a", "one", ["ns.p"]);
    await untilReports({ "ns.p": "v1 0/1" });
    await next.answer();
    await untilReports({ "ns.p": "v1 1/1" });
  });

  test("in a chain each plugin has a report of its own", async () => {
    const chain = (...filters: readonly SnapshotResource[]) => filterChainResource("chain.authn.80", filters);
    set("one", [chain(plugin("ns.p", "v1"), plugin("ns.q", "v1"))]);
    const a = connect("a", "one", ["chain.authn.80"]);
    await a.answer({ "ns.p": digestA, "ns.q": digestB }, new Map([["ns.q", "bad config"]]));
    await untilReports({ "ns.p": "v1 1/1 sha256:a×1", "ns.q": "v1 0/1 a: ns.q: bad config sha256:b×1" });
    set("one", [chain(plugin("ns.p", "v2"), plugin("ns.q", "v1"))]);
    await a.answer({ "ns.p": digestA, "ns.q": digestB }, new Map([["ns.q", "bad config"]]));
    await untilReports({ "ns.p": "v2 1/1 sha256:a×1", "ns.q": "v1 0/1 a: ns.q: bad config sha256:b×1" });
  });
});
