import assert from "node:assert/strict";
import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { until } from "../../test/peers/until.ts";
import { watchFile } from "./watch-file.ts";

function watch(t: TestContext) {
  const dir = mkdtempSync(join(tmpdir(), "watch-file-"));
  const stop = new AbortController();
  const path = join(dir, "envoy");
  writeFileSync(join(dir, "1.40"), "old");
  writeFileSync(join(dir, "1.41"), "new");
  symlinkSync("1.40", path);
  let changes = 0;
  const done = watchFile(path, () => changes++, stop.signal, 10);
  t.after(async () => {
    stop.abort();
    await done;
    rmSync(dir, { recursive: true });
  });
  return { dir, path, changes: () => changes, stop, done };
}

test("a symbolic link that is flipped, a file that is replaced and one that is written are changes", async (t) => {
  const { dir, path, changes } = watch(t);
  symlinkSync("1.41", join(dir, "next"));
  renameSync(join(dir, "next"), path);
  await until("the flipped link is seen", () => changes() === 1);
  writeFileSync(join(dir, "copy"), "new");
  renameSync(join(dir, "copy"), join(dir, "1.41"));
  await until("the other file is seen", () => changes() === 2);
  writeFileSync(path, "longer than before");
  await until("what was written is seen", () => changes() === 3);
});

test("a file that goes is no change, one that comes in its place is", async (t) => {
  const { dir, path, changes } = watch(t);
  rmSync(path);
  writeFileSync(join(dir, "elsewhere"), "x");
  symlinkSync("1.41", path);
  await until("the new one is seen", () => changes() > 0);
  assert.equal(changes(), 1);
});

test("the signal ends it", async (t) => {
  const { stop, done } = watch(t);
  stop.abort();
  await done;
});
