import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { open, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { startWasmline } from "../peers/program.ts";
import { type Answer, get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { type EcdsStatus, ecdsStatus, getJson, listenerChanges, moduleStatus } from "./status.ts";

const modules = fileURLToPath(new URL("../../build/plugins", import.meta.url));
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const file = "custom-response.yaml";
let files: SeedFiles;
let up: ReturnType<typeof startWasmline>;
/** An image layout of the built-in registry that the cases put images into. */
let layout: string;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    layout = join(files.dataDir, "..", "images");
    await publish("beside", "transformer");
    up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout]);
    await up.waitFor("stdout", /^ready .*$/m);
  });
  after(async () => {
    await up.stop();
    await files.close();
  });

  test("a file that is no YAML: a diagnostic with its place, and the last good version stays", async () => {
    const served = await key1();
    const listeners = await listenerChanges(files.adminPort);
    await whileEdited(
      (text) => text.replace(/key1=\w+/, "key1=broken").replace("  priority: 200", "  priority: 200\n bad"),
      async (seen) => {
        const line = await diagnostic(seen, /\S*custom-response\.yaml:\d+:\d+: error YAML_SYNTAX: .*/);
        assert.match(line, /custom-response\.yaml:8:2: /);
        assert.equal(await key1(), served);
      },
    );
    assert.deepEqual(await listenerChanges(files.adminPort), listeners);
  });

  test("a rule without a condition: a diagnostic with its place, and the last good version stays", async () => {
    const served = await key1();
    await whileEdited(
      (text) =>
        text
          .replace(/key1=\w+/, "key1=broken")
          .replace("- domain:\n        - foo.com\n      config:", "- config:"),
      async (seen) => {
        const line = await diagnostic(seen, /\S*custom-response\.yaml:\d+:\d+: error RULE_NO_MATCH: .*/);
        assert.match(
          line,
          /custom-response\.yaml:16:7: .*\(WasmPlugin higress-system\/custom-response spec\.matchRules\[0\]\)/,
        );
        assert.equal(await key1(), served);
      },
    );
  });

  test("a file of which only the first half is written: what it said stays until the rest is there", async () => {
    const text = await readFile(join(files.dir, file), "utf8");
    const served = await key1();
    const seen = up.stderr();
    const listeners = await listenerChanges(files.adminPort);
    const whole = text.replace(/key1=\w+/, "key1=whole");
    const cut = whole.indexOf("hello") + 2;
    const written = await open(join(files.dir, file), "w");
    await written.write(whole.slice(0, cut));
    await diagnostic(seen, /error YAML_SYNTAX/);
    assert.equal(await key1(), served);
    await written.write(whole.slice(cut));
    await written.close();
    await until("the whole file is in effect", async () => (await key1()) === "whole");
    assert.deepEqual(await listenerChanges(files.adminPort), listeners);
  });

  test("an edit to an image that is missing: the last good module stays, and the others can be edited", async () => {
    const served = await key1();
    await whileEdited(
      (text) =>
        text.replace(/key1=\w+/, "key1=missing").replace("custom-response:1.0.0", "custom-response:9.9.9"),
      async () => {
        const status = await until("the refusal", async () =>
          failed(await ecdsStatus(files.offset, "custom-response")),
        );
        assert.match(
          status.error,
          /higress-system\.custom-response: .*custom-response:9\.9\.9.*(404|not found|MANIFEST_UNKNOWN)/,
        );
        const module = await moduleStatus(files.offset, "custom-response");
        assert.equal(module?.state, "last-good");
        assert(status.error.includes(module.error), module.error);
        assert.equal(await key1(), served);
        const { version } = (await ecdsStatus(files.offset, "wasm-transformer"))!;
        await files.edit("chain.yaml", (text) => text.replace('value: "yes"', 'value: "again"'));
        await until("the edit of another plugin is in effect", async () => {
          const now = await ecdsStatus(files.offset, "wasm-transformer");
          return now?.version !== version && now?.state === "SYNCED";
        });
        assert.equal(await stateOf("custom-response"), "ERROR");
      },
    );
    assert.equal((await moduleStatus(files.offset, "custom-response"))?.state, "ready");
  });

  test("an edit to a module of another digest than the plugin says: the last good module stays", async () => {
    const served = await key1();
    await whileEdited(
      (text) =>
        text
          .replace(/key1=\w+/, "key1=forged")
          .replace("  imagePullPolicy:", `  sha256: ${"ab".repeat(32)}\n  imagePullPolicy:`),
      async () => {
        const { error } = await until("the refusal", async () =>
          failed(await ecdsStatus(files.offset, "custom-response")),
        );
        assert.match(error, /higress-system\.custom-response: .*sha256 [0-9a-f]{64}.*; expected (ab){32}/);
        assert.equal((await moduleStatus(files.offset, "custom-response"))?.state, "last-good");
        assert.equal(await key1(), served);
      },
    );
  });

  test("a configuration that the plugin refuses: the error is that plugin's, its last good one stays", async () => {
    const served = await key1();
    await whileEdited(
      (text) => text.replace(/key1=\w+/, "key1=refused\n      - key"),
      async () => {
        const { error } = await until("the refusal", async () =>
          failed(await ecdsStatus(files.offset, "custom-response")),
        );
        assert.match(
          error,
          /^higress-system\.custom-response: .*headers\[1\] is "key": expected "name=value"/,
        );
        for (const other of ["wasm-transformer", "wasm-keyauth", "easy-logger"])
          assert.equal(await stateOf(other), "SYNCED");
        assert.match(up.stderr(), /configuration: .*headers\[1\] is "key": expected "name=value"/);
        assert.equal(await key1(), served);
        assert.equal((await moduleStatus(files.offset, "custom-response"))?.state, "last-good");
        // Envoy would refuse a listener with a configuration that it has refused before.
        await addPlugin("beside", "FAIL_CLOSE");
        await until("a new plugin is in effect beside it", async () => passed(await ask(), "beside"));
        assert.equal(await key1(), served);
        await removePlugin("beside");
      },
    );
  });

  test("a new plugin whose configuration it refuses denies requests, until it is repaired", async () => {
    await publish("strict", "transformer");
    await addPlugin("strict", "FAIL_CLOSE", "explode");
    const denied = await until("requests are denied", async () => denial(await ask()));
    assert.equal(denied.body, "RBAC: access denied");
    const { error } = await until("the refusal", async () =>
      failed(await ecdsStatus(files.offset, "strict")),
    );
    assert.match(error, /^higress-system\.strict: /);
    assert.equal((await moduleStatus(files.offset, "strict"))?.state, "denying");
    await addPlugin("strict", "FAIL_CLOSE");
    await until("the repaired plugin is in effect", async () => passed(await ask(), "strict"));
    await removePlugin("strict");
  });

  test("a new FAIL_CLOSE plugin without an image denies requests, until the image is there", async () => {
    await addPlugin("late", "FAIL_CLOSE");
    const denied = await until("requests are denied", async () => denial(await ask()));
    assert.equal(denied.body, "RBAC: access denied");
    assert.equal((await moduleStatus(files.offset, "late"))?.state, "denying");
    assert.match(
      failed(await ecdsStatus(files.offset, "late"))?.error ?? "",
      /^higress-system\.late: .*plugins\/late:1\.0\.0/,
    );
    await publish("late", "transformer");
    const answer = await until("the module is in effect", async () => passed(await ask(), "late"));
    assert.equal(answer.status, 200);
    await until("discovery knows", async () => (await stateOf("late")) === "SYNCED");
    assert.equal((await moduleStatus(files.offset, "late"))?.state, "ready");
    await removePlugin("late");
  });

  test("a new FAIL_OPEN plugin without an image lets requests pass, until the image is there", async () => {
    await addPlugin("open", "FAIL_OPEN");
    const { error } = await until("the refusal", async () => failed(await ecdsStatus(files.offset, "open")));
    assert.match(error, /^higress-system\.open: .*plugins\/open:1\.0\.0/);
    assert.equal((await moduleStatus(files.offset, "open"))?.state, "allowing");
    const answer = await ask();
    assert.deepEqual([answer.status, answer.headers["x-open"]], [200, undefined]);
    await publish("open", "transformer");
    await until("the module is in effect", async () => passed(await ask(), "open"));
    await removePlugin("open");
  });

  test("a deleted file removes its plugin, a new one brings it back", async () => {
    const text = await readFile(join(files.dir, file), "utf8");
    await rm(join(files.dir, file));
    const answer = await until("the upstream answers", async () =>
      onlyIf(await ask(), ({ body }) => body === "upstream /\n"),
    );
    assert.deepEqual([answer.headers.key1, answer.headers["x-transformed"]], [undefined, "again"]);
    await writeFile(join(files.dir, file), text);
    await until("it is back", async () => (await key1()) !== undefined);
  });

  test("the only line on stdout is the ready line; SIGTERM ends everything with status 0", async () => {
    const { envoy } = await getJson<{ envoy?: { pid: number } }>(15020 + files.offset, "/debug/modules");
    assert.equal(envoy !== undefined, gateway === "envoy");
    if (envoy) assert(isAlive(envoy.pid));
    assert.equal(await up.stop("SIGTERM"), 0);
    assert.match(
      up.stdout(),
      new RegExp(`^ready 127\\.0\\.0\\.1:${files.trafficPort} 4 plugins in effect\n$`),
    );
    if (envoy) assert(!isAlive(envoy.pid));
  });

  test("with a missing image from the start: ready says so, and the other plugins are in effect", async () => {
    await files.edit("chain.yaml", (text) => text.replace("easy-logger:1.0.0", "easy-logger:9.9.9"));
    up = startWasmline(["up", "-f", files.dir, ...files.flags]);
    const [line] = await up.waitFor("stdout", /^ready .*$/m);
    assert.match(line, / 3 of 4 plugins in effect, not higress-system\.easy-logger$/);
    assert.equal((await ask()).status, 200);
  });
});

/** Puts a built plugin into the layout, as `plugins/NAME:1.0.0`. */
async function publish(name: string, plugin: string): Promise<void> {
  const wasm = await readFile(join(modules, `${plugin}.wasm`));
  await writePluginImage(layout, { repository: `plugins/${name}`, tag: "1.0.0", wasm });
}

const ask = (host = "other.com"): Promise<Answer> => get(files.trafficPort, "/", host);
const key1 = async () => (await ask()).headers.key1;
const stateOf = async (plugin: string) => (await ecdsStatus(files.offset, plugin))?.state;

/** Waits for a line about a file that was not there before. */
async function diagnostic(seen: string, pattern: RegExp): Promise<string> {
  return until(`${pattern} on stderr`, () => pattern.exec(up.stderr().slice(seen.length))?.[0]);
}

/** Changes a file while `run` runs, then puts it back with another answer and waits until that is in effect. */
async function whileEdited(
  change: (text: string) => string,
  run: (seen: string) => Promise<void>,
): Promise<void> {
  const text = await readFile(join(files.dir, file), "utf8");
  const seen = up.stderr();
  try {
    await writeFile(join(files.dir, file), change(text));
    await run(seen);
  } finally {
    await writeFile(join(files.dir, file), text.replace(/key1=(\w+)/, "key1=$1x"));
  }
  const repaired = `${/key1=(\w+)/.exec(text)![1]}x`;
  await until("the repaired file is in effect", async () => (await key1()) === repaired);
  await until("discovery knows", async () => (await stateOf("custom-response")) === "SYNCED");
}

/** A plugin at the head of the chain that marks the responses that it saw with `x-NAME: yes`. */
async function addPlugin(
  name: string,
  failStrategy: "FAIL_CLOSE" | "FAIL_OPEN",
  operate = "add",
): Promise<void> {
  const rule = { operate, headers: [{ key: `x-${name}`, value: "yes" }] };
  const spec = {
    phase: "AUTHN",
    priority: 900,
    failStrategy,
    defaultConfig: { respRules: [rule] },
    url: `oci://${registry}/${name}:1.0.0`,
  };
  const plugin = {
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name, namespace: "higress-system" },
    spec,
  };
  await writeFile(join(files.dir, `${name}.yaml`), JSON.stringify(plugin));
}

async function removePlugin(name: string): Promise<void> {
  await rm(join(files.dir, `${name}.yaml`));
  await until("the listener without it serves", async () => (await ask()).headers[`x-${name}`] === undefined);
}

const failed = (status: EcdsStatus | undefined) => (status?.state === "ERROR" ? status : undefined);
const denial = (answer: Answer) => onlyIf(answer, ({ status }) => status === 403);
const passed = (answer: Answer, plugin: string) =>
  onlyIf(answer, ({ headers }) => headers[`x-${plugin}`] === "yes");

function onlyIf<T>(value: T, condition: (value: T) => boolean): T | undefined {
  return condition(value) ? value : undefined;
}

function isAlive(pid: number): boolean {
  const stat = `/proc/${pid}/stat`;
  // A zombie is gone, only its parent has not looked yet.
  return existsSync(stat) && !/^\d+ \(.*\) Z/.test(readFileSync(stat, "utf8"));
}
