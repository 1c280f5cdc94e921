import assert from "node:assert/strict";
import { it } from "node:test";
import { Host } from "../../sdk/test/host.ts";
import { loadPlugin } from "../../sdk/test/modules.ts";

it("custom-response names every error of a configuration", async () => {
  const host = new Host(await loadPlugin("custom-response"));
  const config = { headers: ["a"], status_code: 12.5, enable_on_status: ["12a", 200, 200] };
  assert.equal(host.start(config), false);
  for (const text of [
    'invalid header pair format: headers[0] is "a":',
    "status code value: status_code is 12.5:",
    'value: enable_on_status[0] is "12a":',
    "enable_on_status[2] is 200, which is there before",
  ]) {
    assert.ok(host.logs.join("\n").includes(text), text);
  }
});
