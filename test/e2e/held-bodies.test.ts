import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { request } from "undici";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { moduleStatus } from "./status.ts";

// A plugin that changes headers by the body holds them until it has the body. Envoy gives it none, unless it is told to.

const transformer = fileURLToPath(new URL("../../build/plugins/transformer.wasm", import.meta.url));
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const name = "by-body";
let files: SeedFiles;
let up: Program;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    for (const file of ["chain.yaml", "custom-response.yaml"]) await rm(join(files.dir, file));
    const layout = join(files.dataDir, "..", "images");
    await writePluginImage(layout, {
      repository: `plugins/${name}`,
      tag: "1.0.0",
      wasm: await readFile(transformer),
    });
    await writeFile(
      join(files.dir, "by-body.yaml"),
      [ingress, plugin].map((each) => JSON.stringify(each)).join("\n---\n"),
    );
    up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
    await up.waitFor("stdout", /^ready .*$/m, 180_000);
  });
  after(async () => {
    await up?.stop();
    await files?.close();
  });

  /** What the upstream says that it was asked for. */
  async function post(body: string | undefined, type = "application/json"): Promise<string> {
    const answer = await request(`http://127.0.0.1:${files.trafficPort}/a`, {
      method: "POST",
      headers: { host: "body.com", "content-type": type },
      body,
    });
    return answer.body.text();
  }

  test("the request goes on with what the body says", async () => {
    assert.equal(await post('{"user":{"id":7}}'), "upstream /a?id=7&seen=yes\n");
    const large = JSON.stringify({ filler: "x".repeat(20_000), user: { id: 8 } });
    assert.equal(await post(large), "upstream /a?id=8&seen=yes\n");
    assert.equal(await post("user.id=9", "application/x-www-form-urlencoded"), "upstream /a?id=9&seen=yes\n");
  });

  test("a request without such a body waits for nothing", async () => {
    assert.equal(await post(undefined), "upstream /a?seen=yes\n");
    assert.equal(await post("{", "application/json"), "upstream /a?seen=yes\n");
    assert.equal(await post("text", "text/plain"), "upstream /a?seen=yes\n");
  });

  test("the status says what Envoy was told", async () => {
    const adapted = gateway === "envoy" ? ["bodies of held headers"] : undefined;
    assert.deepEqual((await moduleStatus(files.offset, name))?.adapted, adapted);
  });
});

const backend = { service: { name: "echo-server", port: { number: 8080 } } };
const ingress = {
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name, namespace: "higress-course" },
  spec: { rules: [{ host: "body.com", http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }] },
};
const plugin = {
  apiVersion: "extensions.higress.io/v1alpha1",
  kind: "WasmPlugin",
  metadata: { name, namespace: "higress-system" },
  spec: {
    priority: 10,
    url: `oci://${registry}/${name}:1.0.0`,
    defaultConfig: {
      reqRules: [
        { operate: "map", mapSource: "body", querys: [{ fromKey: "user.id", toKey: "id" }] },
        { operate: "add", querys: [{ key: "seen", value: "yes" }] },
      ],
    },
  },
};
