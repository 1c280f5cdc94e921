import assert from "node:assert/strict";
import { test } from "node:test";
import { isWorthCollecting } from "./return-memory.ts";

const mib = 1024 * 1024;

test("a pause is worth it when enough may be garbage: more of it where there is work to do", () => {
  const cases = [
    [40, 0, false],
    [50, 0, true],
    [50, 0.5, false],
    [90, 0.5, false],
    [100, 1, true],
    [-50, 0, false],
  ] as const;
  for (const [growth, share, worth] of cases)
    assert.equal(isWorthCollecting(growth * mib, share), worth, `${growth} MiB, ${share}`);
});
