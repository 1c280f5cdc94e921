import assert from "node:assert/strict";
import { test } from "node:test";
import { parseRetryAfter } from "./retry-after.ts";

test("seconds, dates, and what is neither", () => {
  const now = Date.UTC(2026, 0, 1);
  const parse = (text: string | undefined) => parseRetryAfter(text, now);
  assert.equal(parse("0"), 0);
  assert.equal(parse("120"), 120_000);
  assert.equal(parse("Thu, 01 Jan 2026 00:00:30 GMT"), 30_000);
  assert.equal(parse("Wed, 31 Dec 2025 00:00:00 GMT"), 0);
  for (const text of [undefined, "", "-1", "1.5", "soon", "2026-01-01", "9999999999"]) {
    assert.equal(parse(text), undefined, text);
  }
});
