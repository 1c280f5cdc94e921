import assert from "node:assert/strict";
import { test } from "node:test";
import { readErrorEvent, readFailure } from "./kubernetes-error.ts";

const asked = { method: "GET", path: "/api/v1/services" };
const busy = (details: object) => JSON.stringify({ kind: "Status", code: 429, message: "busy", details });

test("how long the server wants to be left alone is what its header or its Status says, a minute at most", () => {
  const pause = (header?: string, details: object = {}) =>
    readFailure(asked, 429, busy(details), header).retryAfterMs;
  assert.equal(pause("3"), 3000);
  assert.equal(pause(undefined, { retryAfterSeconds: 2 }), 2000);
  assert.equal(pause("86400"), 60_000);
  assert.equal(pause("Wed, 21 Oct 2026 07:28:00 GMT"), undefined);
  assert.equal(pause("-1"), undefined);
  assert.equal(pause(), undefined);
});

test("what is no Status, such as a proxy's page, is shown as far as anybody reads it", () => {
  const error = readFailure(asked, 502, `<html>${"x".repeat(1000)}`);
  assert.match(error.message, /^cannot list \/api\/v1\/services: <html>x+$/);
  assert.ok(error.message.length < 400);
  assert.equal(readFailure(asked, 502, "").message, "cannot list /api/v1/services: status 502");
});

test("the ERROR of a watch says what a Status says, and is a failure of the server where it is none", () => {
  const gone = { kind: "Status", code: 410, reason: "Expired", message: "too old resource version" };
  const error = readErrorEvent("/api/v1/services", gone);
  assert.deepEqual([error.status, error.reason], [410, "Expired"]);
  assert.equal(readErrorEvent("/api/v1/services", { kind: "Pod" }).status, 500);
});
