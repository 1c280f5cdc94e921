import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { freePortOffset } from "../peers/ports.ts";
import { startWasmline } from "../peers/program.ts";
import { until } from "../peers/until.ts";

async function run(...args: string[]) {
  const program = startWasmline(args);
  const status = await program.ended;
  return { status, stdout: program.stdout(), stderr: program.stderr() };
}

test("a wrong call is status 2, and says what is wrong", async () => {
  for (const args of [
    ["nonsense"],
    ["translate", "-f", "."],
    ["up", "--port-offset", "x"],
    ["up", "--gateway", "another"],
    ["discovery", "--chain", "none"],
  ]) {
    const { status, stderr } = await run(...args);
    assert.equal(status, 2, args.join(" "));
    assert.match(stderr, /error: /);
  }
});

test("every flag of a role is also an environment variable, and help says which", async () => {
  for (const command of ["up", "core", "discovery", "agent", "gateway", "registry"]) {
    const { status, stdout } = await run(command, "--help");
    assert.equal(status, 0);
    assert.match(stdout.replace(/\s+/g, " "), /--port-offset <n> .*env: WASMLINE_PORT_OFFSET/);
  }
});

test("a path that is not there is status 1", async () => {
  const { status, stdout, stderr } = await run("translate", "--to", "istio", "-f", "no/such/path.yaml");
  assert.equal(status, 1);
  assert.equal(stdout, "");
  assert.match(stderr, /no\/such\/path\.yaml/);
});

test("translate leaves a broken resource out, prints the rest, and is status 1", async () => {
  const dir = await mkdtemp(join(tmpdir(), "wasmline-cli-"));
  const plugin = (name: string, rule: string) =>
    `apiVersion: extensions.higress.io/v1alpha1\nkind: WasmPlugin\nmetadata: {name: ${name}, namespace: higress-system}\nspec:\n  url: oci://example.com/x:1\n  matchRules:\n    - ${rule}\n`;
  await writeFile(
    join(dir, "plugins.yaml"),
    `${plugin("good", "{domain: [a.com]}")}---\n${plugin("bad", "{config: {a: 1}}")}`,
  );
  const { status, stdout, stderr } = await run("translate", "-f", dir, "--to", "istio", "-o", "json");
  assert.equal(status, 1);
  assert.deepEqual(
    JSON.parse(stdout).map(({ metadata }: { metadata: { name: string } }) => metadata.name),
    ["good"],
  );
  assert.match(stderr, /plugins\.yaml:15:7: error RULE_NO_MATCH: /);
  await rm(dir, { recursive: true });
});

test("a port that is taken is status 1 and is named", async () => {
  const offset = await freePortOffset();
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(8888 + offset, "127.0.0.1", resolve));
  const { status, stderr } = await run("core", "-f", "test/scenarios", "--port-offset", String(offset));
  taken.close();
  assert.equal(status, 1);
  assert.match(stderr, new RegExp(`cannot listen on 127.0.0.1:${(8888 + offset).toString()}`));
});

test("roles stop with status 0 on SIGTERM", async () => {
  const offset = await freePortOffset();
  const core = startWasmline(["core", "-f", "test/scenarios", "--port-offset", String(offset)]);
  const discovery = startWasmline(["discovery", "--port-offset", String(offset)]);
  await discovery.waitFor("stderr", /connected/);
  await until("discovery serves", async () => (await fetch(`http://127.0.0.1:${15014 + offset}/ready`)).ok);
  assert.deepEqual(await Promise.all([core.stop(), discovery.stop()]), [0, 0]);
});
