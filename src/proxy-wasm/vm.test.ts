import assert from "node:assert/strict";
import { test } from "node:test";
import { guestModule } from "../../test/peers/guest-module.ts";
import { handMadeModule } from "../../test/peers/hand-made-module.ts";
import { createGuestHost } from "../../test/peers/start-guest.ts";
import {
  createLocalOutside,
  createPluginHost,
  exchange,
  type FailStrategy,
  MemoryStream,
  type Message,
} from "./index.ts";

const request: Message = {
  headers: [
    [":path", "/"],
    [":method", "GET"],
    [":authority", "a"],
    [":scheme", "http"],
  ],
};
const statusOf = (outcome: { response?: { headers: readonly (readonly [string, string])[] } }) =>
  outcome.response?.headers.find(([name]) => name === ":status")?.[1];

test("a guest is created, started, configured, sees a stream and its end", async () => {
  const guest = createGuestHost();
  const say = (what: string) => [{ call: "proxy_log", with: [2, what] }] as const;
  const plugin = await guest.start({
    start: say("initialize"),
    callbacks: {
      on_context_create: say("create"),
      on_vm_start: say("vm_start"),
      on_configure: say("configure"),
      on_request_headers: say("request"),
      on_response_headers: say("response"),
      on_log: say("log"),
      on_done: say("done"),
      on_delete: say("delete"),
    },
  });
  await exchange([plugin], request);
  plugin.close();
  const start = ["initialize", "create", "vm_start", "configure"];
  const stream = ["create", "request", "response", "log", "done", "delete"];
  assert.deepEqual(guest.logs(), [...start, ...stream, "done", "delete"]);
  assert.equal(guest.host.vmCount, 0);
});

for (const [strategy, status, details] of [
  ["close", "503", "wasm_fail_stream"],
  ["reload", "503", "wasm_fail_stream"],
  ["open", "200", undefined],
] as readonly (readonly [FailStrategy, string, string | undefined])[])
  test(`a trap with fail strategy ${strategy} gives ${status}, and other plugins do not notice`, async () => {
    const guest = createGuestHost();
    const other = await guest.start({
      callbacks: { on_response_headers: [{ call: "proxy_add_header_map_value", with: [2, "x-other", "1"] }] },
    });
    const plugin = await guest.start(
      { callbacks: { on_request_headers: ["trap"] } },
      { failStrategy: strategy },
    );
    for (let i = 0; i < 3; i++) {
      const outcome = await exchange([other, plugin], request);
      assert.deepEqual([statusOf(outcome), outcome.details], [status, details]);
      assert.ok(outcome.response!.headers.some(([name]) => name === "x-other"));
    }
    assert.deepEqual(plugin.status(), {
      state: "failed",
      failure: "unreachable",
      failures: 1,
      streams: 0,
      memoryBytes: 0,
    });
    assert.equal(other.status().state, "running");
    assert.match(guest.records.find(({ ofHost }) => ofHost)!.message, /Vm is lost: unreachable/);
  });

test("a plugin that is to be reloaded runs again after a second, then two, then four", async () => {
  let now = 1n;
  const guest = createGuestHost({ overrides: { monotonicNow: () => now } });
  const plugin = await guest.start(
    { callbacks: { on_request_headers: ["trap"] } },
    { failStrategy: "reload" },
  );
  const failuresAfter = async (ms: number) => {
    now += BigInt(ms) * 1_000_000n;
    assert.equal(statusOf(await exchange([plugin], request)), "503");
    return plugin.status().failures;
  };
  assert.deepEqual(
    [
      await failuresAfter(0),
      await failuresAfter(999),
      await failuresAfter(1),
      await failuresAfter(1999),
      await failuresAfter(1),
      await failuresAfter(3999),
      await failuresAfter(1),
    ],
    [1, 1, 2, 2, 3, 3, 4],
  );
  assert.equal(guest.host.vmCount, 1);
});

test("streams that wait for a plugin whose Vm is lost end or go on at once", async () => {
  for (const [failStrategy, status] of [
    ["close", "503"],
    ["open", "200"],
  ] as const) {
    const guest = createGuestHost();
    const callbacks = {
      on_request_headers: [{ give: 1 }],
      on_tick: ["trap"],
      on_configure: [{ call: "proxy_set_tick_period_milliseconds", with: [1] }],
    } as const;
    const plugin = await guest.start({ callbacks }, { failStrategy });
    const outcome = await exchange([plugin], request);
    assert.equal(statusOf(outcome), status);
  }
});

test("endless recursion is a trap", async () => {
  const guest = createGuestHost();
  const plugin = await guest.start({ callbacks: { on_request_headers: ["recurse"] } });
  assert.equal(statusOf(await exchange([plugin], request)), "503");
  assert.match(plugin.status().failure!, /call stack/);
});

test("a guest that wants more memory than its ceiling gets none", async () => {
  const guest = createGuestHost({}, { maxMemoryBytes: 4 * 65_536 });
  const plugin = await guest.start({
    callbacks: { on_request_headers: [{ grow: 2 }, { grow: 1 }, { grow: 1000 }] },
  });
  await exchange([plugin], request);
  assert.equal(plugin.status().memoryBytes, 4 * 65_536);
  const small = createGuestHost({}, { maxMemoryBytes: 65_536 });
  await assert.rejects(
    small.start({ callbacks: {} }),
    /found a memory of 2 pages to begin with; expected at most 1 pages/,
  );
});

test("what a guest may not do while it starts or allocates fails its start, and says so", async () => {
  const guest = createGuestHost();
  const start = [{ call: "proxy_set_tick_period_milliseconds", with: [1] }] as const;
  await assert.rejects(guest.start({ start, callbacks: {} }), {
    code: "plugin-start",
    message: /does not start: this host function must not be called/,
  });
  await assert.rejects(guest.start({ start: ["trap"], callbacks: {} }), /does not start: unreachable/);
});

test("a plugin that says no, or traps, while it is configured does not start", async () => {
  const guest = createGuestHost();
  for (const callback of ["on_vm_start", "on_configure"])
    await assert.rejects(guest.start({ callbacks: { [callback]: [{ give: 0 }] } }), {
      code: "plugin-start",
      message: new RegExp(`refused its configuration \\(proxy_${callback}\\)`),
    });
  await assert.rejects(
    guest.start({ callbacks: { on_configure: ["trap"] } }),
    /trapped in proxy_on_configure: unreachable/,
  );
  assert.equal(guest.host.vmCount, 0);
});

test("plugins of the same Vm have roots of their own in it, and are tried elsewhere before", async () => {
  const guest = createGuestHost();
  const callbacks = {
    on_configure: [
      { call: "proxy_get_buffer_bytes", with: [7, 0, 100, "OUT", "OUT_SIZE"] },
      { call: "proxy_log", with: [2, { at: 16 }, { at: 20 }] },
    ],
  } as const;
  const first = await guest.start({ callbacks }, { configuration: "one" });
  const second = await guest.start({ callbacks }, { configuration: "two", rootId: "r" });
  assert.equal(guest.host.vmCount, 1);
  assert.deepEqual(guest.logs(), ["one", "two", "two"]);
  assert.deepEqual(
    guest.records.map(({ contextId, rootId }) => [contextId, rootId]),
    [
      [1, ""],
      [1, "r"],
      [2, "r"],
    ],
  );
  first.close();
  assert.equal(guest.host.vmCount, 1);
  second.close();
  assert.equal(guest.host.vmCount, 0);
});

test("a configuration that traps takes no plugin of the same Vm with it", async () => {
  const guest = createGuestHost();
  const callbacks = { on_configure: [{ trapIfParameter: 1, is: "bad".length }] } as const;
  const plugin = await guest.start({ callbacks });
  await assert.rejects(guest.start({ callbacks }, { configuration: "bad" }), /trapped in proxy_on_configure/);
  assert.deepEqual([plugin.status().state, guest.host.vmCount], ["running", 1]);
  assert.equal(statusOf(await exchange([plugin], request)), "200");
});

test("environment variables are a part of what makes a Vm", async () => {
  const guest = createGuestHost();
  for (const value of ["a", "b", "b"]) await guest.start({ callbacks: {} }, { environment: { KEY: value } });
  assert.equal(guest.host.vmCount, 2);
});

test("a Vm that its plugin does not want any more is followed by another, and ends with its last stream", async () => {
  const guest = createGuestHost();
  const plugin = await guest.start({
    callbacks: {
      on_context_create: [{ call: "proxy_log", with: [2, "create"] }],
      on_request_headers: [{ call: "proxy_set_property", with: ["wasm_need_rebuild", "true"] }],
      on_delete: [{ call: "proxy_log", with: [2, "delete"] }],
    },
  });
  const old = new MemoryStream([plugin]);
  old.sendRequest(request);
  const next = new MemoryStream([plugin]);
  next.sendRequest(request);
  assert.deepEqual(guest.logs(), ["create", "create", "create", "create"]);
  old.end();
  assert.deepEqual(guest.logs().slice(4), ["delete", "delete"]);
  next.end();
});

test("modules that are no plugins, or import what there is not, are refused by name", async () => {
  const host = createPluginHost(createLocalOutside());
  const cases = [
    [handMadeModule({ markers: ["main"] }), /no ABI marker among its 3 exports/],
    [handMadeModule({ markers: ["proxy_abi_version_0_9_0"] }), /no ABI marker/],
    [handMadeModule({ allocator: "" }), /does not export malloc or proxy_on_memory_allocate/],
    [handMadeModule({ memory: "" }), /does not export its memory/],
    [
      handMadeModule({ imports: ["env.proxy_fly", "wasi_unstable.fd_write", "other.f"] }),
      /does not have: env.proxy_fly, other.f;/,
    ],
    [
      handMadeModule({ imports: ["env.proxy_clear_route_cache"] }),
      /ABI 0.2.1 does not have: env.proxy_clear_route_cache/,
    ],
    [
      handMadeModule({ imports: ["env.proxy_continue_stream"], markers: ["proxy_abi_version_0_1_0"] }),
      /ABI 0.1.0 does not have/,
    ],
    [
      handMadeModule({ imports: ["env.proxy_redis_init"], markers: ["proxy_abi_version_0_2_0"] }),
      /ABI 0.2.0 does not have/,
    ],
    [Uint8Array.of(1, 2, 3), /broken Wasm module/],
  ] as const;
  for (const [bytes, message] of cases)
    await assert.rejects(host.compile(bytes, "m"), { code: "module-invalid", message });
});

test("a module is compiled once for as long as somebody has it", async () => {
  const host = createPluginHost(createLocalOutside());
  const bytes = guestModule({ callbacks: {} });
  const [first, second] = await Promise.all([host.compile(bytes), host.compile(bytes.slice())]);
  assert.equal(first, second);
  assert.equal(await host.compile(bytes), first);
});

test("a guest that holds up its end is waited for, and not for ever", async () => {
  const timers: (() => void)[] = [];
  const guest = createGuestHost({
    overrides: {
      setTimer(_ms, fire) {
        timers.push(fire);
        return () => {};
      },
    },
  });
  const say = (what: string) => ({ call: "proxy_log", with: [2, what] }) as const;
  const callbacks = { on_done: [say("done"), { give: 0 }], on_delete: [say("delete")] } as const;
  const plugin = await guest.start({ callbacks });
  plugin.close();
  assert.deepEqual([guest.logs(), guest.host.vmCount], [["done"], 1]);
  for (const fire of timers) fire();
  assert.deepEqual([guest.logs(), guest.host.vmCount], [["done", "delete"], 0]);
});
