import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { handMadeModule } from "../peers/hand-made-module.ts";
import { markedForHigress } from "../peers/higress-module.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { ecdsStatus, moduleStatus } from "./status.ts";

const modules = fileURLToPath(new URL("../../build/plugins", import.meta.url));
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
let files: SeedFiles;
let up: Program;

before(async () => {
  files = await layOutSeed();
  const layout = join(files.dataDir, "..", "images");
  const transformer = await readFile(join(modules, "transformer.wasm"));
  const redis = handMadeModule({
    markers: ["proxy_abi_version_0_2_100"],
    imports: ["env.proxy_log", "env.proxy_redis_init"],
  });
  await writePluginImage(layout, {
    repository: "plugins/marked",
    tag: "1.0.0",
    wasm: markedForHigress(transformer),
  });
  await writePluginImage(layout, { repository: "plugins/redis", tag: "1.0.0", wasm: redis });
  await addPlugin("marked");
  up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
  await up.waitFor("stdout", /^ready .*$/m);
});
after(async () => {
  await up.stop();
  await files.close();
});

const ask = () => get(files.trafficPort, "/", "other.com");

test("a module with the marker of Higress' ABI works on a stock Envoy, and the status says that it was adapted", async () => {
  assert.match(up.stdout(), / 5 plugins in effect$/m);
  const answer = await ask();
  assert.deepEqual([answer.status, answer.headers["x-marked"]], [200, "yes"]);
  const module = await moduleStatus(files.offset, "marked");
  assert.equal(module?.state, "ready");
  assert.match(module.adaptedFrom ?? "", /^[0-9a-f]{64}$/);
  assert.deepEqual(module.adapted, ["marker"]);
  assert(!module.path.includes(module.adaptedFrom!), module.path);
  // An export's name, and behind it that it is a function.
  assert((await readFile(module.path)).includes("proxy_abi_version_0_2_1\0"));
  assert.equal((await ecdsStatus(files.offset, "marked"))?.state, "SYNCED");
});

test("a module that imports what only Higress has is refused by name, and the other plugins stay in effect", async () => {
  await addPlugin("redis");
  const failed = await until("the refusal", async () => {
    const status = await ecdsStatus(files.offset, "redis");
    return status?.state === "ERROR" ? status : undefined;
  });
  assert.match(
    failed.error,
    /^higress-system\.redis: .*plugins\/redis:1\.0\.0 imports .*: env\.proxy_redis_init; it needs Higress' Envoy/,
  );
  const module = await moduleStatus(files.offset, "redis");
  assert.equal(module?.state, "allowing");
  assert.match(module.error, /env\.proxy_redis_init/);
  const answer = await ask();
  assert.deepEqual([answer.status, answer.headers["x-marked"]], [200, "yes"]);
  for (const other of ["marked", "custom-response", "wasm-transformer", "wasm-keyauth", "easy-logger"])
    assert.equal((await ecdsStatus(files.offset, other))?.state, "SYNCED", other);
  assert.doesNotMatch(up.stderr(), /Failed to load Wasm module/);
});

/** A plugin that marks the responses that it saw with `x-NAME: yes`. */
async function addPlugin(name: string): Promise<void> {
  const rule = { operate: "add", headers: [{ key: `x-${name}`, value: "yes" }] };
  const spec = {
    phase: "AUTHN",
    priority: 900,
    failStrategy: "FAIL_OPEN",
    defaultConfig: { respRules: [rule] },
    url: `oci://${registry}/${name}:1.0.0`,
  };
  const metadata = { name, namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await writeFile(join(files.dir, `${name}.yaml`), JSON.stringify(plugin));
}
