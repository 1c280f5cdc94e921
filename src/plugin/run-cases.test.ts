import assert from "node:assert/strict";
import { test } from "node:test";
import { Worker } from "node:worker_threads";
import { type GuestOptions, guestModule } from "../../test/peers/guest-module.ts";
import { SystemError } from "../system-error.ts";
import type { CaseRun, NamedModule } from "./job.ts";
import { runCases } from "./run-cases.ts";
import { runTests } from "./run-tests.ts";
import { parseTestFile } from "./test-file.ts";

// The runner's translation of TypeScript does not reach other threads.
const program = `import("tsx/esm/api").then(({ register }) => (register(), import(${JSON.stringify(new URL("./case-worker.ts", import.meta.url).href)})))`;
const startWorker = (workerData: object) => new Worker(program, { eval: true, workerData });

const guest = (name: string, callbacks: GuestOptions["callbacks"]): NamedModule => ({
  name,
  bytes: guestModule({ callbacks }),
});

function runsOf(module: NamedModule, ...expectations: readonly string[]): CaseRun[] {
  const cases = expectations.map(
    (expect, i) =>
      `  - {name: ${module.name} ${i}, request: {headers: [[":method", GET]]}, expect: ${expect}}\n`,
  );
  const { tests } = parseTestFile(`cases:\n${cases.join("")}`, "a.yaml");
  return tests!.cases.map((one) => ({ file: "a.yaml", module, vmConfig: "", env: {}, test: one }));
}

test("a guest that loops for ever breaks its case, and the others run", async () => {
  const fine = guest("fine", { on_request_headers: [{ call: "proxy_log", with: [2, "here"] }], on_tick: [] });
  const looping = guest("looping", { on_request_headers: ["loop"] });
  const modules = [fine, looping];
  const runs = [
    ...runsOf(fine, "{logs: [{contains: here}]}"),
    ...runsOf(looping, "{}", "{start: ok}"),
    ...runsOf(fine, "{logs: [{contains: there}]}", "{}"),
  ];
  const { results, coverage } = await runTests({ runs, modules }, { limitMs: 200, startWorker });
  assert.deepEqual(
    results.map(({ name, failures }) => [name, failures.map(({ path }) => path)]),
    [
      ["fine 0", []],
      ["looping 0", ["end"]],
      ["looping 1", ["end"]],
      ["fine 0", ["logs[0]"]],
      ["fine 1", []],
    ],
  );
  assert.match(String(results[1]!.failures[0]!.actual), /did not return within 200 ms/);
  assert.deepEqual(coverage, [
    { module: "fine", callbacks: ["proxy_on_tick"], hostFunctions: [] },
    { module: "looping", callbacks: [], hostFunctions: ["env.proxy_log"] },
  ]);
});

test("a module that is no plugin is an error of the whole, and so is the end of patience", async () => {
  const broken: NamedModule = { name: "broken.wasm", bytes: Buffer.from("\0asm\x01\0\0\0", "latin1") };
  const [run] = runsOf(guest("fine", {}), "{}");
  const isCode = (code: string) => (error: unknown) => error instanceof SystemError && error.code === code;
  const ignore = { onResult: () => {} };
  await assert.rejects(
    runCases([{ ...run!, module: broken }], { kind: "test" }, ignore, { startWorker }),
    isCode("module-invalid"),
  );
  const signal = AbortSignal.abort();
  await assert.rejects(
    runCases([run!], { kind: "test" }, ignore, { startWorker, signal }),
    isCode("cancelled"),
  );
});

test("a trace comes line by line, also of a guest that does not return", async () => {
  const looping = guest("looping", {
    on_request_headers: [
      { call: "proxy_get_header_map_value", with: [0, ":method", "OUT", "OUT_SIZE"] },
      { call: "proxy_set_property", with: ["a\0b", "x".repeat(200)] },
      "loop",
    ],
  });
  const lines: unknown[] = [];
  let reason = "";
  await runCases(
    runsOf(looping, "{}"),
    { kind: "trace" },
    {
      onPart: (_run, line) => lines.push(line),
      onResult: (_run, _result, broken = "") => {
        reason = broken;
      },
    },
    { startWorker, limitMs: 200 },
  );
  assert.match(reason, /did not return/);
  assert.deepEqual(lines.slice(-3), [
    "proxy_on_request_headers(context 2, headers 1, end 1)",
    '  proxy_get_header_map_value(request headers, ":method") = ok "GET"',
    `  proxy_set_property("a.b", "${"x".repeat(120)}"… (200)) = ok`,
  ]);
});

test("a benchmark counts host calls by phase and sees memory grow", async () => {
  const growing = guest("growing", {
    on_configure: [{ call: "proxy_log", with: [2, "start"] }],
    on_request_headers: [
      { call: "proxy_log", with: [2, "one"] },
      { call: "proxy_log", with: [2, "two"] },
    ],
    on_log: [{ grow: 1 }],
  });
  const results: unknown[] = [];
  const listener = { onResult: (_run: CaseRun, result: unknown) => results.push(result) };
  await runCases(runsOf(growing, "{}"), { kind: "bench", streams: 10, rounds: 2 }, listener, { startWorker });
  const [figures] = results as [
    { phases: { name: string; minNs: number; hostCalls: number }[]; growthBytesPerStream: number },
  ];
  assert.deepEqual(
    figures.phases.map(({ name, hostCalls }) => [name, hostCalls]),
    [
      ["start", 1],
      ["request headers", 2],
      ["log, done, delete", 0],
    ],
  );
  assert.ok(figures.phases.every(({ minNs }) => minNs > 0));
  assert.equal(figures.growthBytesPerStream, 65_536);
});
