import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { before, suite, test } from "node:test";
import { type LogOptions, silentLog } from "./log.ts";

const root = new URL("..", import.meta.url);

/** What a program writes that logs in its own words. */
async function run(options: LogOptions): Promise<{ stdout: string; lines: string[] }> {
  const script = `
    import { createLog } from "./src/log.ts";
    const log = createLog(${JSON.stringify(options)});
    log.debug({}, "not of interest");
    log.info({ port: 8080, path: "/a b", names: ["a"] }, "started");
    const core = log.child({ role: "core" });
    core.warn({ plugin: "key-auth" }, "slow");
    core.child({ client: 7 }).error({ error: "first line\\nsecond line" }, "broken");`;
  const child = spawn(process.execPath, ["--import", "tsx", "--input-type=module", "-e", script], {
    cwd: root,
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => (stdout += chunk));
  child.stderr.on("data", (chunk) => (stderr += chunk));
  const [status] = await once(child, "close");
  assert.equal(status, 0, stderr);
  return { stdout, lines: stderr.trimEnd().split("\n") };
}

suite("createLog", () => {
  let texts: Awaited<ReturnType<typeof run>>;
  let jsons: Awaited<ReturnType<typeof run>>;
  before(async () => {
    [texts, jsons] = await Promise.all([run({}), run({ format: "json", level: "debug" })]);
  });

  test("text: one line each with time, level, role, message and fields", () => {
    assert.equal(texts.lines.length, 3, texts.lines.join("\n"));
    const [started, slow, broken] = texts.lines.map((line) => line.replace(/^\d\d:\d\d:\d\d\.\d{3} /, ""));
    assert.equal(started, 'info  started port=8080 path=/a b names=["a"]');
    assert.equal(slow, "warn  core: slow plugin=key-auth");
    assert.equal(broken, 'error core: broken client=7 error="first line\\nsecond line"');
  });

  test("json: one object each, down to the level that was asked for", () => {
    const objects = jsons.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    assert.deepEqual(
      objects.map(({ level, msg }) => [level, msg]),
      [
        ["debug", "not of interest"],
        ["info", "started"],
        ["warn", "slow"],
        ["error", "broken"],
      ],
    );
    const { time, ...fields } = objects[3]!;
    assert.equal(typeof time, "number");
    assert.deepEqual(fields, {
      level: "error",
      role: "core",
      client: 7,
      error: "first line\nsecond line",
      msg: "broken",
    });
  });

  test("stdout is for data", () => {
    assert.equal(texts.stdout + jsons.stdout, "");
  });
});

test("silentLog takes everything, its children too", (context) => {
  const write = context.mock.method(process.stderr, "write");
  const log = silentLog.child({ role: "core" });
  for (const level of ["debug", "info", "warn", "error"] as const) log[level]({ a: 1 }, "text");
  assert.equal(write.mock.callCount(), 0);
});
