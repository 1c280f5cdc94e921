import assert from "node:assert/strict";
import { test } from "node:test";
import { compareOutcome } from "./compare-outcome.ts";
import type { CaseOutcome } from "./outcome.ts";
import type { Expectation } from "./test-file.ts";

const bytes = (text: string) => Buffer.from(text);
const outcome: CaseOutcome = {
  start: "ok",
  request: {
    action: "continue",
    headers: [
      [":path", "/"],
      ["a", "1"],
      ["a", "1"],
    ],
    body: bytes("hello"),
    trailers: [],
  },
  local: { status: 401, headers: [["WWW-Authenticate", "Key"]], body: bytes("no"), details: "denied" },
  calls: [{ upstream: "auth", headers: [[":path", "/check"]], body: bytes("") }],
  logs: [
    { level: "info", message: "first line" },
    { level: "warn", message: "second line" },
  ],
  metrics: new Map([["denied", 2]]),
  property: (name) => (name === "consumer" ? "alice" : undefined),
};
const paths = (expect: Expectation) => compareOutcome(expect, outcome).map(({ path }) => path);

test("what a case says nothing of is not compared, and what it says right is no failure", () => {
  assert.deepEqual(paths({}), []);
  const right: Expectation = {
    start: "ok",
    request: {
      action: "continue",
      hasHeaders: [
        ["a", "1"],
        ["A", "1"],
      ],
      body: bytes("hello"),
    },
    local: { status: 401, headers: [["www-authenticate", "Key"]], body: bytes("no"), details: "denied" },
    calls: [{ upstream: "auth", hasHeaders: [[":path", "/check"]] }],
    logs: [{ contains: "first" }, { level: "warn" }],
    metrics: { denied: 2 },
    properties: { consumer: "alice" },
  };
  assert.deepEqual(paths(right), []);
});

test("each difference is named by its path", () => {
  const wrong: Expectation = {
    request: {
      action: "pause",
      headers: [[":path", "/"]],
      hasHeaders: [
        ["a", "1"],
        ["a", "1"],
        ["a", "1"],
      ],
    },
    response: { action: "continue" },
    local: { status: 403, body: bytes("yes") },
    calls: [],
    logs: [{ level: "warn" }, { contains: "first" }],
    metrics: { denied: 1, other: 0 },
    properties: { consumer: "bob" },
  };
  assert.deepEqual(paths(wrong), [
    "request.action",
    "request.headers",
    "request.hasHeaders",
    "response",
    "local.status",
    "local.body",
    "calls",
    "logs[1]",
    "metrics.denied",
    "metrics.other",
    "properties.consumer",
  ]);
  assert.deepEqual(paths({ local: "none" }), ["local"]);
});

test("headers are compared in their order and with their number", () => {
  const [failure] = compareOutcome(
    {
      request: {
        headers: [
          ["a", "1"],
          [":path", "/"],
        ],
      },
    },
    outcome,
  );
  assert.equal(failure?.path, "request.headers");
});

test("a plugin that does not start is the only failure, with its reason", () => {
  const failed: CaseOutcome = { ...outcome, start: "failed", failure: "configuration refused" };
  assert.deepEqual(compareOutcome({ request: { action: "pause" } }, failed), [
    { path: "start", expected: "ok", actual: "failed: configuration refused" },
  ]);
  assert.deepEqual(
    compareOutcome({ start: "failed" }, failed).map(({ path }) => path),
    [],
  );
});

test("bodies that are no text are shown as bytes", () => {
  const actual = { ...outcome, request: { ...outcome.request!, body: Uint8Array.of(255) } };
  const [failure] = compareOutcome({ request: { body: bytes("x") } }, actual);
  assert.equal(failure?.actual, "base64:/w==");
});
