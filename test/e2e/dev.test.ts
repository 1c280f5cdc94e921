import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, type TestContext, test } from "node:test";
import { pathToFileURL } from "node:url";
import { newPlugin } from "../../src/plugin/new-plugin.ts";
import { freePortOffset } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

let root = "";
let offset = 0;
before(async () => {
  root = await mkdtemp(join(tmpdir(), "wasmline-dev-"));
  offset = await freePortOffset();
});
after(() => rm(root, { recursive: true }));

function startDev(t: TestContext, directory: string, ...flags: readonly string[]): Program {
  const dataDir = join(root, "data");
  const dev = startWasmline([
    "dev",
    directory,
    "--port-offset",
    String(offset),
    "--data-dir",
    dataDir,
    ...flags,
  ]);
  t.after(() => dev.stop("SIGKILL"));
  return dev;
}

async function makePlugin(name: string, below = "") {
  const directory = join(root, below, name);
  await newPlugin({ name, language: "assemblyscript", directory });
  const source = join(directory, "assembly/index.ts");
  const text = await readFile(source, "utf8");
  const said = 'responseHeaders.set("x-greeting", this.greeting.text)';
  assert.ok(text.includes(said));
  return { directory, source, save: (statement: string) => writeFile(source, text.replace(said, statement)) };
}

const headers = async () => (await get(8080 + offset, "/", "any.example.com")).headers;

test("a saved change is in effect; one that is broken or fails its tests is told, and the last good one stays", async (t) => {
  const { directory, source, save } = await makePlugin("greeter");
  const dev = startDev(t, directory);
  await dev.waitFor("stdout", /^ready .* 1 plugin in effect$/m);
  assert.match(dev.stdout(), /built in \d+ ms, 4 of 4 cases passed in \d+ ms/);
  const first = await get(8080 + offset, "/hello", "any.example.com");
  assert.equal(first.headers["x-greeting"], "hello from greeter");
  // Where there is no Ingress, a server tells what came to it.
  const { path, headers: seen } = JSON.parse(first.body);
  assert.deepEqual([path, seen["x-greeting"]], ["/hello", "hello from greeter"]);

  await save("responseHeaders.set('x-greeting', nothing)");
  const [, file, line, column] = await dev.waitFor(
    "stdout",
    /^(\S+):(\d+):(\d+): error COMPILE_ERROR: .*'nothing'/m,
  );
  const lines = (await readFile(source, "utf8")).split("\n");
  assert.ok(source.endsWith(file!.replace(/^(\.\.\/)+/, "")));
  assert.equal(lines[Number(line) - 1]!.slice(Number(column) - 1, Number(column) + 6), "nothing");
  await dev.waitFor("stdout", /: not built; the last good one stays in effect$/m);

  await save('responseHeaders.set("x-greeting", "bye")');
  await dev.waitFor(
    "stdout",
    /test\/plugin\.test\.yaml:5:5: error TEST_FAILED: both sides are greeted\n {5}response\./,
  );
  await dev.waitFor("stdout", /, 3 of 4 cases passed in \d+ ms; the last good one stays in effect$/m);
  assert.equal((await headers())["x-greeting"], "hello from greeter");

  await save('responseHeaders.set("x-greeting", this.greeting.text); responseHeaders.set("x-more", "new")');
  await dev.waitFor("stdout", /in effect \d+ ms after the change$/m);
  assert.equal((await headers())["x-more"], "new");

  // The folder's own resource is watched too.
  const resource = join(directory, "wasmplugin.yaml");
  await writeFile(resource, (await readFile(resource, "utf8")).replace("hello from greeter", "good evening"));
  await until(
    "the configuration is in effect",
    async () => (await headers())["x-greeting"] === "good evening",
  );
  assert.equal((await headers())["x-more"], "new");
  // What ran before is not kept.
  assert.equal(
    (await readdir(join(root, "data/dev"))).filter((name) => name.startsWith("greeter-")).length,
    1,
  );
  assert.equal(await dev.stop(), 0);
});

test("--swap-anyway; resources of one's own that name the module's file; one plugin of two that does not compile", async (t) => {
  const { directory, save } = await makePlugin("one", "twins");
  const two = await makePlugin("two", "twins");
  await two.save("nonsense(");
  const resources = join(root, "resources");
  await newResources(resources, directory);
  const dev = startDev(t, join(root, "twins"), "--swap-anyway", "-f", resources);
  await dev.waitFor("stdout", /^ready .* 1 plugin in effect$/m);
  assert.match(dev.stdout(), /two: not built/);
  assert.equal((await headers())["x-greeting"], "from a file");
  await save('responseHeaders.set("x-greeting", "anyway")');
  await dev.waitFor("stdout", /one: in effect \d+ ms after the change$/m);
  assert.match(dev.stdout(), /error TEST_FAILED/);
  assert.equal((await headers())["x-greeting"], "anyway");
  // No WasmPlugin names the other: it gets one, with the example of spec.yaml, when it compiles.
  await two.save('responseHeaders.set("x-two", this.greeting.text)');
  await dev.waitFor("stdout", /two: in effect \d+ ms after the change$/m);
  assert.deepEqual([(await headers())["x-greeting"], (await headers())["x-two"]], ["anyway", "hello"]);
  assert.equal(await dev.stop(), 0);
});

test("a folder without plugins is said at once", async (t) => {
  const empty = await mkdtemp(join(root, "empty-"));
  const dev = startDev(t, empty);
  assert.equal(await dev.ended, 1);
  assert.match(
    dev.stderr(),
    /is no plugin's folder: found none of them; expected one of assembly\/index\.ts/,
  );
});

async function newResources(file: string, directory: string): Promise<void> {
  const spec = {
    url: pathToFileURL(join(directory, "build/plugin.wasm")).href,
    defaultConfig: { greeting: "from a file" },
  };
  const metadata = { name: "mine", namespace: "higress-system" };
  const plugin = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata, spec };
  await writeFile(file, JSON.stringify(plugin));
}
