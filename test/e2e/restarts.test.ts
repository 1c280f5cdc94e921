import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, test } from "node:test";
import { onEachGateway } from "../peers/gateways.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { downstream, startLoad } from "./load.ts";
import { ecdsStatus, getJson, listenerChanges } from "./status.ts";

let files: SeedFiles;
let roles: SeparateRoles;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    roles = createSeparateRoles(files);
    // In the wrong order: each waits for what it needs.
    for (const role of [...roles.all].reverse()) roles.start(role);
    await until("traffic is served", async () => (await answer()) === "value1", 60_000);
  });
  after(async () => {
    await roles.close();
    await files.close();
  });

  for (const role of ["core", "discovery"] as const) {
    for (const signal of ["SIGTERM", "SIGKILL"] as const) {
      test(`${role} is restarted under load (${signal}): no request fails, and an edit made meanwhile arrives`, async () => {
        const own = new Agent({ keepAlive: true, maxSockets: 1 });
        const listeners = await listenerChanges(files.adminPort);
        const load = await startLoad(files, "other.com");
        const previous = await answer(own);
        const status = await roles.stop(role, signal);
        assert.equal(status, signal === "SIGTERM" ? 0 : null);
        const meanwhile = `without-${role}-${signal}`;
        await setAnswer(meanwhile);
        assert.equal(await answer(own), previous);
        roles.start(role);
        await until("the edit is in effect", async () => (await answer(own)) === meanwhile);
        const afterwards = `with-${role}-${signal}`;
        await setAnswer(afterwards);
        await until("the next edit is in effect", async () => (await answer(own)) === afterwards);
        await until(
          "discovery knows",
          async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "SYNCED",
        );
        const connections = await downstream(files.adminPort, files.trafficPort);
        const report = await load.finish();
        own.destroy();

        assert.deepEqual(report.failures, []);
        assert(report.requests > 0);
        const { total, destroyed, active } = load.connections;
        assert.deepEqual(connections, { total: total + 1, destroyed, active: active + 1 });
        assert.deepEqual(await listenerChanges(files.adminPort), listeners);
      });
    }
  }

  test("a gateway that is killed comes back with the configuration that it had", async () => {
    const before = await configDump();
    const served = await answer();
    await killGateway(served);
    assert.deepEqual(await configDump(), before);
  });

  test("a gateway that is killed while a configuration is refused comes back with the last good one", async () => {
    const served = await answer();
    await files.edit("custom-response.yaml", (text) =>
      text.replace(/key1=[\w-]+/, "key1=refused\n      - key"),
    );
    await until(
      "the refusal",
      async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "ERROR",
    );
    await killGateway(served);
    assert.equal((await ecdsStatus(files.offset, "custom-response"))?.state, "ERROR");
    await files.edit("custom-response.yaml", (text) => text.replace("\n      - key\n", "\n"));
    await until("the repaired file is in effect", async () => (await answer()) === "refused");
  });
});

/** The header by which an edit is seen. */
async function answer(agent?: Agent): Promise<unknown> {
  return (await get(files.trafficPort, "/", "other.com", agent)).headers.key1;
}

function setAnswer(value: string): Promise<void> {
  return files.edit("custom-response.yaml", (text) => text.replace(/key1=[\w-]+/, `key1=${value}`));
}

/** Kills the gateway hard and waits for another one with the same answer. */
async function killGateway(served: unknown): Promise<void> {
  const pid = await roles.gatewayPid();
  await roles.killGateway();
  await until(
    "another gateway serves",
    async () => (await roles.gatewayPid()) !== pid && (await answer()) === served,
  );
}

/** The gateway's whole configuration, in any order of the resources of a type and without the times at which they came. */
async function configDump(): Promise<unknown> {
  const { configs } = await getJson<{ configs: object[] }>(files.adminPort, "/config_dump?include_eds");
  const untimed = JSON.parse(
    JSON.stringify(configs, (key, value) => (key === "last_updated" ? undefined : value)),
  );
  return inAnyOrder(
    untimed.map((config: object) =>
      mapValues(config, (list) => (Array.isArray(list) ? inAnyOrder(list) : list)),
    ),
  );
}

function inAnyOrder(list: readonly unknown[]): unknown[] {
  return [...list].sort((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
}

function mapValues(object: object, map: (value: unknown) => unknown): object {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value)]));
}
