import assert from "node:assert/strict";
import { test } from "node:test";
import { createReadiness } from "./readiness.ts";
import type { PluginModule } from "./resolve-module.ts";

const plugin = (state: PluginModule["state"], error = ""): PluginModule => ({
  ...{ name: "ns.key-auth", url: "oci://registry.example.com/key-auth:1", path: "" },
  ...{ state, error, attempts: 2 },
});

function start(first: readonly PluginModule[]) {
  const now = { serves: true, plugins: first };
  const whyNot = createReadiness(
    async () => now.serves,
    () => now.plugins,
  );
  return { now, whyNot };
}

test("a gateway that does not serve is not ready, and is again when it does", async () => {
  const { now, whyNot } = start([]);
  assert.equal(await whyNot(), undefined);
  now.serves = false;
  assert.equal(await whyNot(), "the gateway does not serve yet");
  now.serves = true;
  assert.equal(await whyNot(), undefined);
});

test("a new gateway waits for the modules of its plugins, and says for which", async () => {
  const { now, whyNot } = start([plugin("ready"), plugin("fetching")]);
  assert.match((await whyNot()) ?? "", /^plugin ns\.key-auth waits for its module, oci:\/\/registry/);
  now.plugins = [plugin("ready"), plugin("denying", "registry.example.com: 404")];
  assert.match((await whyNot()) ?? "", /fails closed .*\(attempt 2\): registry\.example\.com: 404$/);
  now.plugins = [plugin("ready"), plugin("allowing", "registry.example.com: 404")];
  assert.equal(await whyNot(), undefined);
});

test("a gateway that was ready stays it whatever becomes of its plugins", async () => {
  const { now, whyNot } = start([plugin("last-good", "404")]);
  assert.equal(await whyNot(), undefined);
  now.plugins = [plugin("denying", "404"), plugin("fetching")];
  assert.equal(await whyNot(), undefined);
});
