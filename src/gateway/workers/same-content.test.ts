import assert from "node:assert/strict";
import { test } from "node:test";
import { wasmFilter } from "../../../test/peers/gateway-config.ts";
import { guestModule } from "../../../test/peers/guest-module.ts";
import { createLocalOutside, createPluginHost } from "../../proxy-wasm/index.ts";
import { createPluginRegistry, type WasmFilterConfig } from "../plugin-registry.ts";
import { createPluginWords } from "../plugin-words.ts";
import { bySameContent } from "./same-content.ts";

const module = guestModule({ callbacks: { on_request_headers: [{ give: 0 }] } });
/** Another object each time. */
const filter = (configuration: string) => wasmFilter("p", module, { configuration }) as WasmFilterConfig;

test("a plugin that was started for a message is the one of the configuration that comes later", async () => {
  const { outside, words } = createPluginWords(createLocalOutside());
  const host = createPluginHost(outside);
  const plugins = bySameContent(createPluginRegistry(host, words));
  const wanted = new AbortController();
  const started = await plugins.start(filter("one"), wanted.signal);
  // Another configuration comes first: who wants the plugin keeps it.
  plugins.keep(new Set());
  const [same, other] = [filter("one"), filter("two")];
  assert.equal(plugins.find(same), started);
  assert.equal(plugins.find(other), undefined);
  plugins.keep(new Set([same]));
  wanted.abort();
  assert.equal(plugins.find(filter("one")), started);
  assert.equal(await plugins.start(filter("one")), started);
  assert.deepEqual([plugins.size, host.vmCount], [1, 1]);
  plugins.keep(new Set());
  assert.equal(plugins.find(same), undefined);
  assert.deepEqual([plugins.size, host.vmCount], [0, 0]);
  assert.notEqual(await plugins.start(same), started);
});

test("a plugin that nobody wants any more is started anew when it comes again", async () => {
  const { outside, words } = createPluginWords(createLocalOutside());
  const host = createPluginHost(outside);
  const plugins = bySameContent(createPluginRegistry(host, words));
  const wanted = new AbortController();
  const started = await plugins.start(filter("one"), wanted.signal);
  wanted.abort();
  assert.equal(started.status().state, "closed");
  assert.equal((await plugins.start(filter("one"))).status().state, "running");
});
