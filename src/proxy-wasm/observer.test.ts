import assert from "node:assert/strict";
import { test } from "node:test";
import { createGuestHost } from "../../test/peers/start-guest.ts";
import { exchange, type VmObserver } from "./index.ts";

test("an observer sees callbacks, host functions and the memory, and may answer in their place", async () => {
  const seen: string[] = [];
  const observer: VmObserver = {
    hostFunction:
      (module, name, call, memory) =>
      (...parameters) => {
        seen.push(`${module}.${name} of ${memory()?.length} bytes`);
        return name === "proxy_done" ? 12 : call(...parameters);
      },
    callback:
      (name, call) =>
      (...parameters) => {
        const result = call(...parameters);
        seen.push(`${name} = ${result}`);
        return name === "proxy_on_request_headers" ? 0 : result;
      },
  };
  const { start, logs } = createGuestHost({}, { observer });
  const plugin = await start({
    start: [{ call: "proxy_log", with: [2, "starting"] }],
    callbacks: {
      on_configure: [{ show: "proxy_get_property", with: ["plugin_name", "OUT", "OUT_SIZE"] }],
      on_request_headers: [{ show: "proxy_done", with: [] }, { give: 1 }],
    },
  });
  const { response } = await exchange([plugin], { headers: [[":method", "GET"]] });
  assert.deepEqual(response?.headers, [[":status", "200"]]);
  assert.deepEqual(logs(), ["starting", "A", "guest", "M"]);
  const memory = "of 131072 bytes";
  assert.deepEqual(seen, [
    `env.proxy_log ${memory}`,
    "_initialize = undefined",
    `env.proxy_get_property ${memory}`,
    ...Array(2).fill(`env.proxy_log ${memory}`),
    "proxy_on_configure = 1",
    `env.proxy_done ${memory}`,
    `env.proxy_log ${memory}`,
    "proxy_on_request_headers = 1",
  ]);
});
