import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { get } from "../peers/request.ts";
import { type SeedSystem, startSeed } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { ecdsStatus, envoyStats, getJson, listenerChanges, moduleStatus } from "./status.ts";

let system: SeedSystem;

before(async () => {
  system = await startSeed("envoy", "--xds", "state-of-the-world");
});
after(() => system.close());

const key1 = async () => (await get(system.trafficPort, "/", "other.com")).headers.key1;
const setKey1 = (value: string) =>
  system.edit("custom-response.yaml", (text) => text.replace(/key1=\S+/, `key1=${value}`));

test("Envoy asks for the state of the world", async () => {
  const { configs } = await getJson<{
    configs: { bootstrap: { dynamic_resources: { ads_config: { api_type: string } } } }[];
  }>(system.adminPort, "/config_dump?mask=bootstrap");
  assert.equal(configs[0]?.bootstrap.dynamic_resources.ads_config.api_type, "GRPC");
});

for (const { rule, host, header, value, body } of outcomes) {
  test(`${host} gets ${rule}`, async () => {
    const answer = await get(system.trafficPort, "/", host);
    assert.deepEqual([answer.status, answer.headers[header], answer.body], [200, value, body]);
  });
}

test("an edit takes effect, the listener and the other plugins stay as they are", async () => {
  const listeners = await listenerChanges(system.adminPort);
  const reloads = () => envoyStats(system.adminPort, "^extension_config_discovery\\..*\\.config_reload$");
  const before = await reloads();
  await setKey1("edited");
  await until("the edit is in effect", async () => (await key1()) === "edited");
  await until(
    "discovery knows",
    async () => (await ecdsStatus(system.offset, "custom-response"))?.state === "SYNCED",
  );
  assert.deepEqual(await listenerChanges(system.adminPort), listeners);
  const slot = "extension_config_discovery.http_filter.higress-system.custom-response.config_reload";
  assert.deepEqual(await reloads(), { ...before, [slot]: before[slot]! + 1 });
});

test("of edits that overtake each other the last one takes effect, and discovery knows", async () => {
  for (let edit = 1; edit <= 20; edit++) await setKey1(`burst-${edit}`);
  await until("the last edit is in effect", async () => (await key1()) === "burst-20");
  await until(
    "discovery knows",
    async () => (await ecdsStatus(system.offset, "custom-response"))?.state === "SYNCED",
  );
  await setKey1("edited");
  await until("the next edit is in effect", async () => (await key1()) === "edited");
});

test("an edit to an image that is missing: the last good module stays, and the others can be edited", async () => {
  const tag = (from: string, to: string) =>
    system.edit("custom-response.yaml", (text) =>
      text.replace(`custom-response:${from}`, `custom-response:${to}`),
    );
  await tag("1.0.0", "9.9.9");
  await until(
    "the failure",
    async () => (await moduleStatus(system.offset, "custom-response"))?.state === "last-good",
  );
  assert.equal(await key1(), "edited");
  await system.edit("chain.yaml", (text) =>
    text.replace("[method, host, path, status]", "[status, method, host, path]"),
  );
  await until("the edit of another plugin is in effect", async () => {
    await key1();
    return system.up.stderr().includes('easy-logger: {"status":200,"method":"GET"');
  });
  const status = await ecdsStatus(system.offset, "custom-response");
  assert.equal(status?.state, "ERROR");
  assert.match(status.error, /higress-system\.custom-response: .*9\.9\.9/);
  for (const other of ["wasm-transformer", "wasm-keyauth", "easy-logger"])
    assert.equal((await ecdsStatus(system.offset, other))?.state, "SYNCED", other);
  await tag("9.9.9", "1.0.0");
  await setKey1("repaired");
  await until("the repaired file is in effect", async () => (await key1()) === "repaired");
});

test("a configuration that the plugin refuses: its own reason is shown, the last good one stays", async () => {
  await system.edit("custom-response.yaml", (text) => text.replace(/key1=\S+/, "$&\n      - key"));
  const status = await until("the refusal", async () => {
    const now = await ecdsStatus(system.offset, "custom-response");
    return now?.state === "ERROR" ? now : undefined;
  });
  const reason =
    /Unable to create Wasm plugin higress-system\.custom-response: .*headers\[1\] is "key": expected "name=value"/;
  assert.match(status.error, reason);
  assert.match((await moduleStatus(system.offset, "custom-response"))?.error ?? "", reason);
  assert.equal(await key1(), "repaired");
  await system.edit("custom-response.yaml", (text) => text.replace("\n      - key\n", "\n"));
  await until(
    "the repaired file is in effect",
    async () => (await ecdsStatus(system.offset, "custom-response"))?.state === "SYNCED",
  );
});
