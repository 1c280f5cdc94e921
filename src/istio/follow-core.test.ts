import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { until } from "../../test/peers/until.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  DeltaDiscoveryResponseSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { ResourceSchema } from "../gen/istio/mcp/v1alpha1/resource_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import {
  adsDefinition,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type DiscoveryRequest,
  type DiscoveryResponse,
} from "../xds/ads.ts";
import { listenXds } from "../xds/listen.ts";
import { createXdsServer } from "../xds/server.ts";
import {
  createSnapshot,
  createSnapshotType,
  rawResource,
  type Snapshot,
  type SnapshotResource,
} from "../xds/snapshot.ts";
import type { IstioConfig, IstioConfigSet } from "./config.ts";
import { followCore } from "./follow-core.ts";
import { kinds } from "./kinds.ts";
import { encodeMcp } from "./mcp.ts";

const modes = ["incremental", "state-of-the-world"] as const;
const node = create(NodeSchema, { id: "sidecar~127.0.0.1~discovery.ns~ns.svc.cluster.local" });
const wasmPluginUrl = kinds.WasmPlugin.mcpTypeUrls[0];
const gatewayUrl = kinds.Gateway.mcpTypeUrls[0];

let ended: AbortController;
beforeEach(() => {
  ended = new AbortController();
});
afterEach(() => ended.abort());

function plugin(name: string, url: string): SnapshotResource {
  const spec = create(WasmPluginSchema, { url });
  return encodeMcp({ kind: "WasmPlugin", namespace: "ns", name, spec });
}

const gateway = encodeMcp({
  kind: "Gateway",
  namespace: "ns",
  name: "gw",
  spec: create(GatewaySchema, { selector: { higress: "gateway" } }),
});

/** A plugin under a good name whose body is what a Gateway has. */
function misnamed(name: string): SnapshotResource {
  const message = fromBinary(ResourceSchema, gateway.value);
  message.metadata!.name = `ns/${name}`;
  return rawResource(`ns/${name}`, gateway.typeUrl, toBinary(ResourceSchema, message));
}

/** Bytes that are no message at all, so that in the state of the world not even the name can be read. */
const garbage = (name: string) =>
  rawResource(`ns/${name}`, gateway.typeUrl, new Uint8Array([10, 200, 1, 2, 3]));

function snapshotOf(plugins: readonly SnapshotResource[], gateways = [gateway]): Snapshot {
  return createSnapshot([
    createSnapshotType(wasmPluginUrl, plugins),
    createSnapshotType(gatewayUrl, gateways),
  ]);
}

/** A core, as discovery sees it. */
async function startCore(plugins: readonly SnapshotResource[], port = 0) {
  const stopped = new AbortController();
  const snapshot = createWatchable(snapshotOf(plugins));
  const server = createXdsServer({ snapshotFor: () => snapshot, log: silentLog });
  const signal = AbortSignal.any([stopped.signal, ended.signal]);
  const plugged = () => server.clients()[0]?.subscriptions.find(({ typeUrl }) => typeUrl === wasmPluginUrl);
  return {
    port: await listenXds(server, "127.0.0.1", port, signal),
    set: (next: readonly SnapshotResource[], gateways?: SnapshotResource[]) =>
      snapshot.set(snapshotOf(next, gateways)),
    stop: () => stopped.abort(),
    /** What discovery refused of the plugins. */
    lastError: () => plugged()?.lastError ?? "",
    isRefused: (name: string) => plugged()?.rejected.has(name) ?? false,
    isAccepted: () => plugged()?.nonceAcked === plugged()?.nonceSent && Boolean(plugged()?.nonceSent),
  };
}

function follow(port: number, mode: (typeof modes)[number]): IstioConfigSet[] {
  const configs: IstioConfigSet[] = [];
  followCore({
    target: `127.0.0.1:${port}`,
    mode,
    node,
    onConfig: (config) => void configs.push(config),
    signal: ended.signal,
    log: silentLog,
  });
  return configs;
}

const pluginsOf = (config: IstioConfigSet | undefined) =>
  (config?.WasmPlugin ?? []).map(({ name, spec }: IstioConfig<"WasmPlugin">) => `${name}=${spec.url}`);

for (const mode of modes) {
  suite(`followCore, ${mode}`, () => {
    test("gives the whole state, and then with each change", async () => {
      const core = await startCore([plugin("b", "1"), plugin("a", "1")]);
      const configs = follow(core.port, mode);
      await until("the first configuration", () => configs.length === 1);
      assert.deepEqual(pluginsOf(configs[0]), ["a=1", "b=1"]);
      assert.deepEqual(
        configs[0]!.Gateway.map(({ namespace, name, spec }) => [namespace, name, spec.selector]),
        [["ns", "gw", { higress: "gateway" }]],
      );
      assert.deepEqual(
        [configs[0]!.VirtualService, configs[0]!.ServiceEntry, configs[0]!.Secret],
        [[], [], []],
      );
      core.set([plugin("b", "1"), plugin("a", "2"), plugin("0", "1")]);
      await until("the change", () => configs.length === 2);
      assert.deepEqual(pluginsOf(configs[1]), ["0=1", "a=2", "b=1"]);
      core.set([plugin("b", "1")]);
      await until("the removals", () => configs.length === 3);
      assert.deepEqual(pluginsOf(configs[2]), ["b=1"]);
    });

    test("what did not change keeps its identity", async () => {
      const core = await startCore([plugin("a", "1"), plugin("b", "1")]);
      const configs = follow(core.port, mode);
      await until("the first configuration", () => configs.length === 1);
      core.set([plugin("a", "1"), plugin("b", "2")]);
      await until("the change", () => configs.length === 2);
      const [before, after] = configs as [IstioConfigSet, IstioConfigSet];
      assert.equal(after.Gateway, before.Gateway);
      assert.equal(after.WasmPlugin[0], before.WasmPlugin[0]);
      assert.notEqual(after.WasmPlugin[1], before.WasmPlugin[1]);
      assert.notEqual(after.WasmPlugin, before.WasmPlugin);
    });

    test("a core that has nothing is a configuration too", async () => {
      const core = await startCore([]);
      core.set([], []);
      const configs = follow(core.port, mode);
      await until("the first configuration", () => configs.length === 1);
      assert.deepEqual([pluginsOf(configs[0]), configs[0]!.Gateway], [[], []]);
    });

    test("keeps what it has while core is away, and takes what changed meanwhile", async () => {
      const first = await startCore([plugin("a", "1"), plugin("b", "1")]);
      const configs = follow(first.port, mode);
      await until("the first configuration", () => configs.length === 1);
      first.stop();
      const second = await startCore([plugin("a", "2")], first.port);
      await until("what changed", () => configs.length > 1);
      assert.equal(configs.length, 2, "one configuration for one change");
      assert.deepEqual(pluginsOf(configs[1]), ["a=2"]);
      assert.equal(configs[1]!.Gateway, configs[0]!.Gateway);
      await until("the ACK", () => second.isAccepted());
    });

    for (const [how, broken] of [
      ["of another kind", misnamed],
      ["of garbage", garbage],
    ] as const) {
      test(`a resource ${how} is refused, its last good version and all others stay`, async () => {
        const core = await startCore([plugin("a", "1"), plugin("b", "1")]);
        const configs = follow(core.port, mode);
        await until("the first configuration", () => configs.length === 1);
        core.set([plugin("a", "2"), broken("b"), plugin("c", "1")]);
        await until("the NACK", () => core.isRefused("ns/b"));
        assert.deepEqual(pluginsOf(configs.at(-1)), ["a=2", "b=1", "c=1"]);
        core.set([plugin("a", "2"), plugin("b", "3"), plugin("c", "1")]);
        await until(
          "it is mended",
          () => !core.isRefused("ns/b") && pluginsOf(configs.at(-1)).includes("b=3"),
        );
        assert.deepEqual(pluginsOf(configs.at(-1)), ["a=2", "b=3", "c=1"]);
      });

      test(`a resource ${how} in the first answer does not keep the others away`, async () => {
        const core = await startCore([broken("a"), plugin("b", "1")]);
        const configs = follow(core.port, mode);
        await until("the first configuration", () => configs.length === 1);
        assert.deepEqual(pluginsOf(configs[0]), ["b=1"]);
        await until("the NACK", () => core.lastError() !== "");
      });

      test(`what came beside a resource ${how} goes like everything else`, async () => {
        const core = await startCore([misnamed("a"), plugin("b", "1"), plugin("c", "1")]);
        const configs = follow(core.port, mode);
        await until("the NACK", () => core.lastError() !== "");
        core.stop();
        await startCore([plugin("c", "1")], core.port);
        await until("b is gone", () => pluginsOf(configs.at(-1)).join() === "c=1");
      });
    }

    test("the refusal names each resource and what is wrong with it", async () => {
      const core = await startCore([misnamed("a"), plugin("b", "1"), misnamed("c")]);
      follow(core.port, mode);
      await until("the NACK", () => core.lastError() !== "");
      for (const name of ["a", "c"]) {
        assert.match(
          core.lastError(),
          new RegExp(`ns/${name}: MCP WasmPlugin ns/${name} with a body of .*Gateway`),
        );
      }
    });

    test("a response of which nothing was taken is no new configuration", async () => {
      const core = await startCore([plugin("a", "1")]);
      const configs = follow(core.port, mode);
      await until("the first configuration", () => configs.length === 1);
      core.set([misnamed("a")]);
      await until("the NACK", () => core.lastError() !== "");
      assert.equal(configs.length, 1);
    });
  });
}

test("a garbled resource in the state of the world removes nothing, as it may be any of those that are missing", async () => {
  const core = await startCore([plugin("a", "1"), plugin("b", "1")]);
  const configs = follow(core.port, "state-of-the-world");
  await until("the first configuration", () => configs.length === 1);
  core.set([garbage("a")]);
  await until("the NACK", () => core.lastError() !== "");
  assert.deepEqual(pluginsOf(configs.at(-1)), ["a=1", "b=1"]);
});

type Call<Request, Response> = ServerDuplexStream<Request, Response>;

/** A core that answers one type at a time, when the test says so. */
async function startScript() {
  const asked = new Set<string>();
  const answers: ((typeUrl: string) => void)[] = [];
  const server = new Server();
  const note = (call: { on(event: string, listener: (request: { typeUrl: string }) => void): unknown }) => {
    call.on("data", ({ typeUrl }) => asked.add(typeUrl));
    call.on("error", () => {});
  };
  server.addService(adsDefinition, {
    streamAggregatedResources(call: Call<DiscoveryRequest, DiscoveryResponse>) {
      note(call);
      answers.push((typeUrl) =>
        call.write(create(DiscoveryResponseSchema, { typeUrl, versionInfo: "1", nonce: typeUrl })),
      );
    },
    deltaAggregatedResources(call: Call<DeltaDiscoveryRequest, DeltaDiscoveryResponse>) {
      note(call);
      answers.push((typeUrl) =>
        call.write(create(DeltaDiscoveryResponseSchema, { typeUrl, nonce: typeUrl })),
      );
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  ended.signal.addEventListener("abort", () => server.forceShutdown());
  return { port, asked, answer: (typeUrl: string) => answers.at(-1)!(typeUrl) };
}

for (const mode of modes) {
  test(`followCore, ${mode}: asks for every kind, and has no configuration before each was answered`, async () => {
    // Secrets are between our core and our discovery: Higress' core, the one asked for the state of the world, has none.
    const served = Object.entries(kinds).filter(([kind]) => mode === "incremental" || kind !== "Secret");
    const all = served.map(([, { mcpTypeUrls }]) => mcpTypeUrls[0]);
    const { port, asked, answer } = await startScript();
    const configs = follow(port, mode);
    await until("every kind is asked for", () => asked.size === all.length);
    assert.deepEqual([...asked].sort(), [...all].sort());
    for (const typeUrl of all) {
      assert.equal(configs.length, 0, `before the answer for ${typeUrl}`);
      asked.clear();
      answer(typeUrl);
      await until("the ACK", () => asked.has(typeUrl));
    }
    assert.equal(configs.length, 1);
    asked.clear();
    answer(all[0]!);
    await until("another ACK", () => asked.has(all[0]!));
    assert.equal(configs.length, 1, "an answer without a change is no configuration");
  });
}
