import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { create, fromBinary } from "@bufbuild/protobuf";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { gatewayNode } from "../../src/agent/node.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import {
  DeltaDiscoveryRequestSchema,
  type Resource,
} from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { openAdsChannel } from "../../src/xds/client.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";
import type { GatewayKind } from "../peers/gateways.ts";
import { handMadeModule } from "../peers/hand-made-module.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { ecdsStatus, getJson, listenerChanges, moduleStatus } from "./status.ts";

const modules = fileURLToPath(new URL("../../build/plugins", import.meta.url));
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const seeded = ["custom-response", "wasm-transformer", "wasm-keyauth", "easy-logger"];
let files: SeedFiles;
let up: ReturnType<typeof startWasmline>;
let layout: string;

/** The embedded gateway has one way to ask. */
const cases = [
  { gateway: "embedded", form: "incremental" },
  { gateway: "envoy", form: "incremental" },
  { gateway: "envoy", form: "state-of-the-world" },
] as const;

async function start(gateway: GatewayKind, form: string): Promise<void> {
  files = await layOutSeed(gateway);
  layout = join(files.dataDir, "..", "images");
  await publish("marking", await readFile(join(modules, "transformer.wasm")));
  await publish("trapping", handMadeModule({ trapsAtStart: true }));
  const flags = ["--layout", layout, "--chain", "dynamic", "--xds", form];
  up = startWasmline(["up", "-f", files.dir, ...files.flags, ...flags]);
  await up.waitFor("stdout", /^ready .* 4 plugins in effect$/m);
}

function publish(name: string, wasm: Uint8Array): Promise<unknown> {
  return writePluginImage(layout, { repository: `plugins/${name}`, tag: "1.0.0", wasm });
}

/** Saves a plugin at the head of the chain that marks the responses that it saw with `x-NAME: VALUE`. */
async function savePlugin(
  name: string,
  { value = "yes", image = "marking", failStrategy = "FAIL_CLOSE", operate = "add" } = {},
): Promise<void> {
  const spec = {
    phase: "AUTHN",
    priority: 900,
    failStrategy,
    defaultConfig: { respRules: [{ operate, headers: [{ key: `x-${name}`, value }] }] },
    url: `oci://${registry}/${image}:1.0.0`,
  };
  const metadata = { name, namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await writeFile(join(files.dir, `${name}.yaml`), `${JSON.stringify(plugin)}\n`);
}

const ask = () => get(files.trafficPort, "/", "other.com");
const mark = async (name: string) => (await ask()).headers[`x-${name}`];
const stateOf = async (plugin: string) => (await ecdsStatus(files.offset, plugin))?.state;
const refusalOf = (plugin: string) =>
  until(`the refusal of ${plugin}`, async () => {
    const status = await ecdsStatus(files.offset, plugin);
    return status?.state === "ERROR" ? status.error : undefined;
  });

/** Edits the chapter's plugin and waits until that is in effect, beside whatever else there is. */
async function editBeside(value: string): Promise<void> {
  await files.edit("custom-response.yaml", (text) => text.replace(/key1=\S+/, `key1=${value}`));
  await until(`key1=${value} is in effect`, async () => (await ask()).headers.key1 === value);
  await until("discovery knows", async () => (await stateOf("custom-response")) === "SYNCED");
}

async function removePlugin(name: string): Promise<void> {
  await rm(join(files.dir, `${name}.yaml`));
  await until(`${name} is gone`, async () => (await ecdsStatus(files.offset, name)) === undefined);
  assert.equal(await moduleStatus(files.offset, name), undefined);
}

async function assertOthersSynced(): Promise<void> {
  for (const name of seeded) assert.equal(await stateOf(name), "SYNCED", name);
}

for (const { gateway, form } of cases) {
  suite(`a dynamic chain, gateway: ${gateway}, ${form}`, () => {
    before(() => start(gateway, form));
    after(async () => {
      await up.stop();
      await files.close();
    });

    for (const { rule, host, header, value, body } of outcomes) {
      test(`${host} gets ${rule}`, async () => {
        const answer = await get(files.trafficPort, "/", host);
        assert.deepEqual([answer.status, answer.headers[header], answer.body], [200, value, body]);
      });
    }

    test("the listener has a filter for each phase, and none for a plugin", async () => {
      const dump = await getJson<object>(files.adminPort, "/config_dump?resource=dynamic_listeners");
      const slots = JSON.stringify(dump).match(/"chain\.[a-z]+\.\d+"/g);
      assert.deepEqual(
        slots,
        ["authn", "authz", "stats", "unspecified"].map((phase) => `"chain.${phase}.${files.trafficPort}"`),
      );
      assert(!JSON.stringify(dump).includes("custom-response"));
    });

    test("a plugin whose configuration is refused keeps its last good one, and the others go on", async () => {
      const listeners = await listenerChanges(files.adminPort);
      await savePlugin("marked", { value: "1" });
      await until("it is in effect", async () => (await mark("marked")) === "1");
      await savePlugin("marked", { value: "2", operate: "explode" });
      assert.match(
        await refusalOf("marked"),
        /^higress-system\.marked: Unable to create Wasm plugin higress-system\.marked: configuration: .*operate is "explode"/,
      );
      assert.equal((await moduleStatus(files.offset, "marked"))?.state, "last-good");
      await assertOthersSynced();
      await editBeside(`refused-${form}`);
      assert.equal(await mark("marked"), "1");
      assert.equal(await stateOf("marked"), "ERROR");
      await savePlugin("marked", { value: "3" });
      await until("the repaired one is in effect", async () => (await mark("marked")) === "3");
      await until("discovery knows", async () => (await stateOf("marked")) === "SYNCED");
      await removePlugin("marked");
      assert.deepEqual(await listenerChanges(files.adminPort), listeners);
    });

    for (const { failStrategy, state, status } of [
      { failStrategy: "FAIL_CLOSE", state: "denying", status: 403 },
      { failStrategy: "FAIL_OPEN", state: "allowing", status: 200 },
    ]) {
      test(`a ${failStrategy} plugin that traps at start is ${state}, and the others are in effect`, async () => {
        await savePlugin("trap", { image: "trapping", failStrategy });
        assert.match(await refusalOf("trap"), /^higress-system\.trap: Unable to create Wasm plugin/);
        assert.equal((await moduleStatus(files.offset, "trap"))?.state, state);
        assert.equal((await ask()).status, status);
        await assertOthersSynced();
        await removePlugin("trap");
        await until("requests pass", async () => (await ask()).status === 200);
      });

      test(`a ${failStrategy} plugin without its image is ${state} until that is there`, async () => {
        const image = `late-${state}`;
        await savePlugin("late", { image, failStrategy });
        assert.match(await refusalOf("late"), new RegExp(`^higress-system\\.late: .*plugins/${image}:1`));
        assert.equal((await moduleStatus(files.offset, "late"))?.state, state);
        assert.equal((await ask()).status, status);
        await assertOthersSynced();
        await publish(image, await readFile(join(modules, "transformer.wasm")));
        await until("the module is in effect", async () => (await mark("late")) === "yes");
        await until("discovery knows", async () => (await stateOf("late")) === "SYNCED");
        await removePlugin("late");
      });
    }

    test("an edit to an image that is missing leaves the last good one in effect, and the others go on", async () => {
      await savePlugin("marked", { value: "1" });
      await until("it is in effect", async () => (await mark("marked")) === "1");
      await savePlugin("marked", { value: "2", image: "missing" });
      assert.match(await refusalOf("marked"), /^higress-system\.marked: .*plugins\/missing:1/);
      assert.equal((await moduleStatus(files.offset, "marked"))?.state, "last-good");
      await editBeside(`missing-${form}`);
      assert.equal(await mark("marked"), "1");
      await removePlugin("marked");
    });

    test("values of Secrets are not in discovery's dump, nor is what can be one", async () => {
      const proxyId = "gateway.higress-system";
      const { status, body } = await get(15014 + files.offset, `/debug/config_dump?proxyID=${proxyId}`);
      assert.equal(status, 200);
      assert(!body.includes("token-of-someone"));
      const { configs } = JSON.parse(body) as { configs: { ecds_filters?: { ecds_filter: object }[] }[] };
      const filters = configs.flatMap(({ ecds_filters = [] }) => ecds_filters);
      const chains = filters.map(({ ecds_filter }) => JSON.stringify(ecds_filter));
      const withSecret = chains.find((chain) => chain.includes("higress-system.wasm-keyauth"));
      assert.match(withSecret ?? "", /"configuration":"<Redacted>"/);
      assert.match(withSecret ?? "", /\\"fields\\":/);
    });

    // The embedded gateway cannot be killed without the rest of `up`.
    if (gateway === "envoy") testKilledEnvoy(form);

    test("a node whose Envoy lacks the filter for it gets a filter for each plugin in its listener", async () => {
      const filters = await listenerFilters();
      for (const name of seeded) assert(filters.includes(`higress-system.${name}`), filters.join());
      assert(!filters.some((name) => name.startsWith("chain.")));
    });
  });
}

function testKilledEnvoy(form: string): void {
  test("an Envoy that is killed comes back with the chain", async () => {
    const { envoy } = await getJson<{ envoy: { pid: number } }>(15020 + files.offset, "/debug/modules");
    const served = (await ask()).headers.key1;
    process.kill(envoy.pid, "SIGKILL");
    await until("another Envoy serves", async () => {
      const now = await getJson<{ envoy: { pid: number } }>(15020 + files.offset, "/debug/modules");
      return now.envoy.pid !== envoy.pid && (await ask()).headers.key1 === served;
    });
    await editBeside(`again-${form}`);
  });

  test("an Envoy that is killed while a configuration is refused comes back with the last good one", async () => {
    const served = (await ask()).headers.key1;
    await files.edit("custom-response.yaml", (text) => text.replace(/key1=\S+/, "$&\n      - key"));
    await refusalOf("custom-response");
    const { envoy } = await getJson<{ envoy: { pid: number } }>(15020 + files.offset, "/debug/modules");
    process.kill(envoy.pid, "SIGKILL");
    await until("another Envoy serves", async () => {
      const now = await getJson<{ envoy: { pid: number } }>(15020 + files.offset, "/debug/modules");
      return now.envoy.pid !== envoy.pid && (await ask()).headers.key1 === served;
    });
    await refusalOf("custom-response");
    assert.equal((await ask()).headers.key1, served);
    await files.edit("custom-response.yaml", (text) => text.replace("\n      - key\n", "\n"));
    await editBeside(`mended-${form}`);
  });
}

/** The names of the HTTP filters that a gateway gets whose node names no extensions. */
async function listenerFilters(): Promise<string[]> {
  const channel = openAdsChannel(`127.0.0.1:${15010 + files.offset}`);
  const stream = channel.deltaAggregatedResources();
  stream.on("error", () => {});
  const { id, metadata } = gatewayNode({ name: "older" });
  const node = create(NodeSchema, { id, metadata: metadata as never });
  const [listener] = await new Promise<readonly Uint8Array[]>((resolve) => {
    stream.on("data", ({ resources }) => resolve(resources.map((one: Resource) => one.resource!.value)));
    stream.write(create(DeltaDiscoveryRequestSchema, { node, typeUrl: typeUrls.listener }));
  });
  stream.cancel();
  channel.close();
  const text = Buffer.from(listener!).toString("latin1");
  assert.equal(fromBinary(ListenerSchema, listener!).name, `127.0.0.1_${files.trafficPort}`);
  return text.match(/(?:chain|higress-system)\.[\w.-]+/g) ?? [];
}
