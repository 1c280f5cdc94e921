import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { endurancePlugins, sendRequests, startEndurance } from "../test/plugin-endurance.ts";

const warm = 2_000;
const rounds = 10_000;

describe("memory stays what it is after a while", () => {
  for (const name of Object.keys(endurancePlugins))
    it(name, async () => {
      const { plugin, lines } = await startEndurance(name);
      sendRequests(plugin, 0, warm);
      const { memoryBytes } = plugin.status();
      sendRequests(plugin, warm, rounds);
      const after = plugin.status();
      assert.equal(after.failures, 0);
      assert.equal(after.memoryBytes, memoryBytes);
      assert.equal(lines(), name === "easy-logger" ? rounds : 0);
    });
});
