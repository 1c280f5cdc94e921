import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { test } from "node:test";
import type { Log } from "../log.ts";
import { forwardEnvoyLog } from "./envoy-log.ts";

async function forward(chunks: readonly (string | Buffer)[]) {
  const written: [level: string, component: unknown, message: string][] = [];
  const write = (level: string) => (fields: object, message: string) =>
    void written.push([level, "component" in fields ? fields.component : undefined, message]);
  const log: Log = {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: () => log,
  };
  const stream = new PassThrough();
  const tail = forwardEnvoyLog(stream, log);
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await once(stream, "end");
  return { written, tail: tail.lines };
}

test("lines keep their level and component, wherever the chunks are cut", async () => {
  const bytes = Buffer.from(
    "warning\t12\twasm\twasm log ns.a: größer\tis it\ninfo\t7\tmain\tstarting\ncritical\t7\tmain\tover",
  );
  const all = await forward([bytes]);
  assert.deepEqual(all.written, [
    ["warn", "wasm", "wasm log ns.a: größer\tis it"],
    ["info", "main", "starting"],
    ["error", "main", "over"],
  ]);
  for (let cut = 1; cut < bytes.length; cut++)
    assert.deepEqual(await forward([bytes.subarray(0, cut), bytes.subarray(cut)]), all);
});

test("what Envoy prints in no format is an error", async () => {
  const { written } = await forward(["PARSE ERROR: Argument: --bogus\n\nno\tlevel\tat all\n"]);
  assert.deepEqual(written, [
    ["error", "stderr", "PARSE ERROR: Argument: --bogus"],
    ["error", "stderr", "no\tlevel\tat all"],
  ]);
});

test("long lines are cut, and keep their level", async () => {
  const { written } = await forward([
    "info\t7\twasm\t",
    ..."abcd".split("").map((c) => c.repeat(20_000)),
    "\ninfo\t7\tmain\tnext\n",
  ]);
  assert.equal(written.length, 2);
  const [level, component, message] = written[0]!;
  assert.deepEqual([level, component, message[0], message.at(-1)], ["info", "wasm", "a", "…"]);
  assert.ok(message.length < 17_000);
  assert.deepEqual(written[1], ["info", "main", "next"]);
});

test("the last warnings and errors are kept", async () => {
  const lines = Array.from({ length: 100 }, (_, n) => `${n % 2 ? "info" : "error"}\t7\tmain\t${n}\n`);
  assert.deepEqual((await forward(lines)).tail, ["90", "92", "94", "96", "98"]);
});
