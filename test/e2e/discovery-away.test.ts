import assert from "node:assert/strict";
import { Agent } from "node:http";
import { test } from "node:test";
import { get } from "../peers/request.ts";
import { layOutSeed } from "../peers/seed-system.ts";
import { createSeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { startLoad } from "./load.ts";
import { ecdsStatus, getJson, listenerChanges } from "./status.ts";

for (const form of ["incremental", "state-of-the-world"] as const) {
  test(`${form}: discovery is away, Envoy is killed: it serves what it had, and what was edited comes with discovery`, async (t) => {
    const files = await layOutSeed();
    const roles = createSeparateRoles(files, "--xds", form);
    t.after(async () => {
      await roles.close();
      await files.close();
    });
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    for (const role of ["registry", "core", "discovery", "agent"] as const) roles.start(role);
    const answer = async (agent?: Agent) =>
      (await get(files.trafficPort, "/", "other.com", agent)).headers.key1;
    await until("traffic is served", async () => (await answer()) === "value1", 60_000);
    const configured = async () =>
      (await get(files.adminPort, "/config_dump?resource=dynamic_listeners&mask=active_state.listener")).body;
    const envoyPid = async () =>
      (await getJson<{ envoy: { pid: number } }>(15020 + files.offset, "/debug/modules")).envoy.pid;

    const before = await configured();
    await roles.stop("discovery", "SIGKILL");
    await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
    const pid = await envoyPid();
    process.kill(pid, "SIGKILL");
    await until(
      "another Envoy serves",
      async () => (await envoyPid()) !== pid && (await answer()) === "value1",
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
