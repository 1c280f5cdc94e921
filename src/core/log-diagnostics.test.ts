import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "../log.ts";
import { silentLog } from "../log.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import { createDiagnosticLog } from "./log-diagnostics.ts";

const diagnostic = (message: string, severity: Diagnostic["severity"] = "warning"): Diagnostic => ({
  ...{ severity, code: "UNKNOWN_FIELD", message },
  at: { ref: { kind: "WasmPlugin", namespace: "ns", name: "a" } },
});

test("what is new is said, what stays is not, and what comes back is said again", () => {
  const said: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (_fields, text) => void said.push(`warn ${text}`),
    error: (_fields, text) => void said.push(`error ${text}`),
  };
  const saidNow = () => said.splice(0).map((line) => line.replace(/^(\w+) .*: (\w+) .*$/, "$1 $2"));
  const logNew = createDiagnosticLog(log);
  const [a, b, c] = [diagnostic("a"), diagnostic("b"), diagnostic("c", "error")];
  logNew([a, b]);
  assert.deepEqual(saidNow(), ["warn a", "warn b"]);
  logNew([a, b]);
  logNew([b, a]);
  // The same words of another object.
  logNew([b, diagnostic("a")]);
  assert.deepEqual(saidNow(), []);
  logNew([b, a, c]);
  assert.deepEqual(saidNow(), ["error c"]);
  logNew([c]);
  logNew([a, c]);
  assert.deepEqual(saidNow(), ["warn a"]);
});
