import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { Agent } from "node:http";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";

let files: SeedFiles;
let roles: SeparateRoles;

suite("the embedded gateway behind an agent", () => {
  before(async () => {
    files = await layOutSeed("embedded");
    roles = createSeparateRoles(files);
    for (const role of roles.all) roles.start(role);
    await until("the gateway answers", () => get(files.trafficPort, "/", "foo.com").catch(() => undefined));
  });
  after(async () => {
    await roles.close();
    await files.close();
  });

  for (const { rule, host, header, value, body } of outcomes) {
    test(`${host} gets ${rule}`, async () => {
      const answer = await get(files.trafficPort, "/", host);
      assert.deepEqual([answer.status, answer.headers[header], answer.body], [200, value, body]);
    });
  }

  test("an edit, and a plugin that comes and goes, take effect on the same connection", async () => {
    const own = new Agent({ keepAlive: true, maxSockets: 1 });
    const sockets = new Set<unknown>();
    own.on("free", (socket) => sockets.add(socket));
    const ask = () => get(files.trafficPort, "/", "other.com", own);
    await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
    await until("the edit is in effect", async () => (await ask()).headers.key1 === "edited");
    const added = {
      apiVersion: "extensions.higress.io/v1alpha1",
      kind: "WasmPlugin",
      metadata: { name: "marker", namespace: "higress-system" },
      spec: {
        phase: "AUTHN",
        priority: 990,
        url: "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0",
        defaultConfig: { status_code: 418, body: "tea" },
      },
    };
    await writeFile(join(files.dir, "marker.yaml"), JSON.stringify(added));
    await until("the new plugin answers", async () => (await ask()).status === 418);
    await writeFile(join(files.dir, "marker.yaml"), "");
    await until("it is gone", async () => (await ask()).status === 200);
    assert.equal(sockets.size, 1);
    own.destroy();
  });

  test("its admin pages are Envoy's", async () => {
    assert.equal((await get(files.adminPort, "/ready")).body, "LIVE\n");
    const dump = await get(files.adminPort, "/config_dump");
    assert.match(dump.body, /type\.googleapis\.com\/envoy\.admin\.v3\.ListenersConfigDump/);
    assert.match((await get(files.adminPort, "/listeners")).body, new RegExp(`:${files.trafficPort}`));
  });

  test("it ends with status 0", async () => {
    assert.equal(await roles.stop("gateway"), 0);
  });
});
