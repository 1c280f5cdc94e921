import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, test } from "node:test";
import { onEachGateway } from "../peers/gateways.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { downstream, startLoad } from "./load.ts";
import { envoyStats, listenerChanges } from "./status.ts";

const edits = 50;
let files: SeedFiles;
let up: ReturnType<typeof startWasmline>;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    // A line for each request of a load would be a load of its own.
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    up = startWasmline(["up", "-f", files.dir, ...files.flags]);
    await up.waitFor("stdout", /^ready .*$/m);
  });
  after(async () => {
    await up.stop();
    await files.close();
  });

  test(`${edits} edits of a plugin under load: each takes effect, no request fails, no connection is closed`, async () => {
    const { trafficPort, adminPort } = files;
    const listeners = await listenerChanges(adminPort);
    const reloadsBefore = await reloads();
    const own = new Agent({ keepAlive: true, maxSockets: 1 });
    const load = await startLoad(files, "other.com");
    let current = "value1";
    for (let edit = 1; edit <= edits; edit++) {
      const next = `edit-${edit}`;
      await files.edit("custom-response.yaml", (text) => text.replace(`key1=${current}`, `key1=${next}`));
      await until(`edit ${edit} is in effect`, async () => {
        const answer = await get(trafficPort, "/", "other.com", own);
        assert(
          answer.status === 200 && [current, next].includes(String(answer.headers.key1)),
          JSON.stringify(answer),
        );
        return answer.headers.key1 === next;
      });
      current = next;
    }
    const connections = await downstream(adminPort, trafficPort);
    const report = await load.finish();
    own.destroy();

    assert.deepEqual(report.failures, []);
    assert(report.requests > edits, `only ${report.requests} requests`);
    const { total, destroyed, active } = load.connections;
    assert.deepEqual(connections, { total: total + 1, destroyed, active: active + 1 });
    assert.deepEqual(await listenerChanges(adminPort), listeners);
    const slot = "extension_config_discovery.http_filter.higress-system.custom-response.config_reload";
    assert.deepEqual(await reloads(), { ...reloadsBefore, [slot]: reloadsBefore[slot]! + edits });
  });
});

/** How often Envoy has taken a new configuration of each plugin. */
const reloads = () => envoyStats(files.adminPort, "^extension_config_discovery\\..*\\.config_reload$");
