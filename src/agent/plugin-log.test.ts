import assert from "node:assert/strict";
import { beforeEach, suite, test } from "node:test";
import type { EnvoyLogLine } from "./envoy-log.ts";
import { createPluginLog, type PluginLog } from "./plugin-log.ts";

let log: PluginLog;
beforeEach(() => {
  log = createPluginLog();
});

const line = (message: string, fields: Partial<EnvoyLogLine> = {}) =>
  log.take({ level: "error", thread: "1", component: "wasm", message, ...fields });

suite("createPluginLog", () => {
  test("what a plugin said before it could not be loaded is its reason", () => {
    line("wasm log: configuration: no such rule");
    line("wasm log: configuration: no such key", { level: "warn" });
    line("Wasm VM failed Failed to configure base Wasm plugin");
    line("Plugin ns.a failed to load");
    line("Plugin configured to fail closed failed to load");
    line("wasm log: another");
    line("Plugin ns.b failed to load");
    assert.equal(log.loadFailure("ns.a"), "configuration: no such rule; configuration: no such key");
    assert.equal(log.loadFailure("ns.b"), "another");
    assert.equal(log.loadFailure("ns.c"), "");
  });

  test("a plugin that said nothing has what the VM said", () => {
    line("Wasm VM failed Failed to configure base Wasm plugin");
    line("Plugin ns.a failed to load");
    assert.equal(log.loadFailure("ns.a"), "Wasm VM failed Failed to configure base Wasm plugin");
  });

  test("what others say meanwhile is not part of it: loaded plugins, other threads, other components, other levels", () => {
    line("wasm log ns.b: in a request");
    line("Function: proxy_on_request_headers failed", { thread: "2" });
    line("cannot connect", { component: "upstream" });
    line("wasm log: starting", { level: "info" });
    line("wasm log: mine");
    line("Plugin ns.a failed to load");
    assert.equal(log.loadFailure("ns.a"), "mine");
  });

  test("the last failure counts, and what was said is said once", () => {
    line("wasm log: first");
    line("Plugin ns.a failed to load");
    line("wasm log: second");
    line("Plugin ns.a failed to load");
    assert.equal(log.loadFailure("ns.a"), "second");
  });

  test("few lines of bounded length, without control characters", () => {
    for (let n = 1; n <= 1000; n++) line(`wasm log: ${n}`);
    line("wasm log: \u001b[31mred\\nnext\u0007");
    line(`wasm log: ${"x".repeat(10_000)}`);
    line("Plugin ns.a failed to load");
    const reason = log.loadFailure("ns.a");
    assert.match(reason, /^1000; \[31mred next; x{500}…$/);
  });

  test("a trap is the plugin's whose error is the line before on the same thread", () => {
    line("wasm log ns.b: not mine", { thread: "2" });
    line("wasm log ns.a root vm: plugin failed: no more");
    line("Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable");
    const { at, reason } = log.lastTrap("ns.a")!;
    assert.deepEqual(log.lastTrap("extensions.istio.io/wasmplugin/ns.a"), { at, reason });
    assert.equal(
      reason,
      "Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable; plugin failed: no more",
    );
    assert.ok(Date.parse(at) > 0);
    assert.equal(log.lastTrap("ns.b"), undefined);
  });

  test("a trap without an error before it is nobody's", () => {
    line("wasm log ns.a: an error");
    line("wasm log ns.b: a line for each request", { level: "info" });
    line("Function: proxy_on_log failed: Uncaught RuntimeError: unreachable");
    line("wasm log ns.a: an error");
    line("Function: proxy_on_log failed: Uncaught RuntimeError: unreachable", { thread: "2" });
    assert.deepEqual([log.lastTrap("ns.a"), log.lastTrap("ns.b")], [undefined, undefined]);
  });

  test("who listens hears of traps until its signal", () => {
    const ended = new AbortController();
    const heard: string[] = [];
    log.onTrap((plugin, { reason }) => heard.push(`${plugin}: ${reason}`), ended.signal);
    const trap = () => {
      line("wasm log ns.a: no more");
      line("Function: proxy_on_log failed: unreachable");
    };
    trap();
    ended.abort();
    trap();
    assert.deepEqual(heard, ["ns.a: Function: proxy_on_log failed: unreachable; no more"]);
  });
});
