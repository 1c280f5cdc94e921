import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { get } from "../peers/request.ts";
import { layOutSeed } from "../peers/seed-system.ts";
import { createSeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { startLoad } from "./load.ts";
import { ecdsStatus, listenerChanges } from "./status.ts";

const cases = [
  { gateway: "embedded", form: "incremental" },
  { gateway: "envoy", form: "incremental" },
  { gateway: "envoy", form: "state-of-the-world" },
] as const;

for (const { gateway, form } of cases) {
  test(`${gateway}, ${form}: discovery is away, the gateway is killed: another serves what it had, and what was edited comes with discovery`, async (t) => {
    const files = await layOutSeed(gateway);
    const roles = createSeparateRoles(files, "--xds", form);
    t.after(async () => {
      await roles.close();
      await files.close();
    });
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    for (const role of roles.all) roles.start(role);
    const answer = async (agent?: Agent) =>
      (await get(files.trafficPort, "/", "other.com", agent)).headers.key1;
    await until("traffic is served", async () => (await answer()) === "value1", 60_000);
    const configured = async () =>
      (await get(files.adminPort, "/config_dump?resource=dynamic_listeners&mask=active_state.listener")).body;

    const before = await configured();
    await roles.stop("discovery", "SIGKILL");
    await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
    const pid = await roles.gatewayPid();
    await roles.killGateway();
    await until(
      "another gateway serves",
      async () => (await roles.gatewayPid()) !== pid && (await answer()) === "value1",
    );
    assert.equal(await configured(), before);
    assert.match(
      roles.stderr("agent"),
      /discovery is away; the gateway is answered with what it said before/,
    );

    const own = new Agent({ keepAlive: true, maxSockets: 1 });
    const load = await startLoad(files, "other.com");
    assert.equal(await answer(own), "value1");
    const listeners = await listenerChanges(files.adminPort);
    roles.start("discovery");
    await until("the edit is in effect", async () => (await answer(own)) === "edited");
    await until(
      "discovery knows",
      async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "SYNCED",
    );
    const { failures } = await load.finish();
    own.destroy();
    assert.deepEqual(failures, []);
    assert.deepEqual(await listenerChanges(files.adminPort), listeners);
  });
}
