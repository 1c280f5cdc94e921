import assert from "node:assert/strict";
import { test } from "node:test";
import { errorText, SystemError } from "./system-error.ts";

test("a SystemError has a code, a text and the cause", () => {
  const cause = new Error("ECONNREFUSED");
  const error = new SystemError("network", "cannot reach a.com", cause);
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.code, error.message], ["SystemError", "network", "cannot reach a.com"]);
  assert.equal(error.cause, cause);
});

test("from wraps what was caught, and keeps a SystemError as it is", () => {
  const own = new SystemError("timeout", "too late");
  assert.equal(SystemError.from(own, "network", "pulling a/b"), own);
  const cause = new Error("reset");
  const wrapped = SystemError.from(cause, "registry", "pulling a/b");
  assert.deepEqual([wrapped.code, wrapped.message, wrapped.cause], ["registry", "pulling a/b: reset", cause]);
  assert.equal(
    SystemError.from("no error at all", "disk", "reading f").message,
    "reading f: no error at all",
  );
});

test("errorText tells the causes that Node hides", () => {
  const refused = new Error("connect ECONNREFUSED 127.0.0.1:1");
  assert.equal(
    errorText(new TypeError("fetch failed", { cause: refused })),
    "fetch failed: connect ECONNREFUSED 127.0.0.1:1",
  );
  const deep = new Error("a", { cause: new Error("b", { cause: new Error("c") }) });
  assert.equal(errorText(deep), "a: b: c");
});

test("errorText says nothing twice where the text of a SystemError has its cause", () => {
  const error = SystemError.from(new Error("reset"), "registry", "pulling a/b");
  assert.equal(errorText(error), "pulling a/b: reset");
  assert.equal(errorText(new Error("start", { cause: error })), "start: pulling a/b: reset");
});

test("errorText has a text for everything that can be thrown", () => {
  assert.equal(errorText(new RangeError()), "RangeError");
  assert.equal(errorText("text"), "text");
  assert.equal(errorText(undefined), "undefined");
  assert.equal(errorText(null), "null");
  assert.equal(errorText(new Error("a", { cause: "not an error" })), "a");
});
