import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { compileModule } from "../../sdk/test/modules.ts";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { paddedModule } from "../peers/padded-module.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { downstream, startLoad } from "./load.ts";
import { ecdsStatus, listenerChanges, moduleStatus } from "./status.ts";

const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const size = 6_000_000;
let files: SeedFiles;
let up: Program;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    const layout = join(files.dataDir, "..", "images");
    const small = await readFile(await compileModule("sdk/fixture/faulty.ts", "build/test/faulty.wasm"));
    await writePluginImage(layout, { repository: "plugins/marker", tag: "small", wasm: small });
    const large = paddedModule(small, size);
    await writePluginImage(layout, { repository: "plugins/marker", tag: "large", wasm: large });
    await put("small", "x-small");
    up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
    await up.waitFor("stdout", /^ready .* 5 plugins in effect$/m);
  });
  after(async () => {
    await up.stop();
    await files.close();
  });

  test("a new module of 6 MB and a new configuration under load: no request fails, no connection is closed", async () => {
    const { trafficPort, adminPort } = files;
    const listeners = await listenerChanges(adminPort);
    const own = new Agent({ keepAlive: true, maxSockets: 1 });
    const load = await startLoad(files, "other.com");
    const wrong: string[] = [];
    let current = "x-small";
    for (const [tag, next] of [
      ["large", "x-large"],
      ["large", "x-configured"],
      ["small", "x-small-again"],
    ] as const) {
      await put(tag, next);
      await until(
        `${next} is in effect`,
        async () => {
          const { status, headers } = await get(trafficPort, "/", "other.com", own);
          // The old plugin serves until the new one does: there is no answer without a mark, and none with two.
          const isRight = status === 200 && Boolean(headers[current]) !== Boolean(headers[next]);
          if (!isRight) wrong.push(JSON.stringify({ status, headers }));
          return headers[next] === "yes";
        },
        120_000,
      );
      current = next;
    }
    const connections = await downstream(adminPort, trafficPort);
    const report = await load.finish();
    own.destroy();

    assert.deepEqual([...report.failures, ...wrong.slice(0, 3)], []);
    assert(report.requests > 0);
    const { total, destroyed, active } = load.connections;
    assert.deepEqual(connections, { total: total + 1, destroyed, active: active + 1 });
    assert.deepEqual(await listenerChanges(adminPort), listeners);
    assert.equal((await moduleStatus(files.offset, "marker"))?.state, "ready");
    assert.equal((await ecdsStatus(files.offset, "marker"))?.state, "SYNCED");
  });
});

/** Writes the plugin that marks responses with a header. */
async function put(tag: string, mark: string): Promise<void> {
  const url = `oci://${registry}/marker:${tag}`;
  const spec = { phase: "AUTHN", priority: 900, defaultConfig: { mark }, url };
  const metadata = { name: "marker", namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await writeFile(join(files.dir, "marker.yaml"), JSON.stringify(plugin));
}
