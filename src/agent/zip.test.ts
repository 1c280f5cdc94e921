import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { extractZipMember } from "./zip.ts";

const dir = mkdtempSync(join(tmpdir(), "wasmline-zip-"));
after(() => rmSync(dir, { recursive: true }));

const content = Buffer.from("all work and no play ".repeat(20_000));
const archive = join(dir, "a.zip");
const python = `
import sys, zipfile
with zipfile.ZipFile(sys.argv[1], "w") as z:
    z.writestr("first.txt", "first")
    z.writestr("pkg/deflated", open(sys.argv[2], "rb").read(), zipfile.ZIP_DEFLATED)
    z.writestr("pkg/stored", open(sys.argv[2], "rb").read(), zipfile.ZIP_STORED)
    z.writestr("pkg/empty", b"")
    z.comment = b"a comment behind the end record"
`;
writeFileSync(join(dir, "content"), content);
execFileSync("python3", ["-c", python, archive, join(dir, "content")]);

let targets = 0;
const newTarget = () => join(dir, `target-${targets++}`);

test("members of an archive of Python's zipfile are unpacked", async () => {
  for (const [name, expected] of [
    ["pkg/deflated", content],
    ["pkg/stored", content],
    ["pkg/empty", Buffer.alloc(0)],
  ] as const) {
    const target = newTarget();
    await extractZipMember(archive, name, target, 1_000_000);
    assert.ok(readFileSync(target).equals(expected), name);
  }
});

test("a member that is not there, too large or damaged is refused", async () => {
  await assert.rejects(extractZipMember(archive, "pkg/none", newTarget(), 1_000_000), { code: "not-found" });
  const tooLarge = newTarget();
  await assert.rejects(extractZipMember(archive, "pkg/stored", tooLarge, 1000), { code: "too-large" });
  assert.ok(!existsSync(tooLarge), "nothing was written");

  const bytes = readFileSync(archive);
  // The member before it is compressed, so that this is where the stored one begins.
  const at = bytes.indexOf(content.subarray(0, 1000));
  bytes[at + 100] = bytes[at + 100]! ^ 1;
  const damaged = join(dir, "damaged.zip");
  writeFileSync(damaged, bytes);
  await assert.rejects(extractZipMember(damaged, "pkg/stored", newTarget(), 1_000_000), {
    code: "digest-mismatch",
  });
});

test("what is no archive, or only a part of one, is refused", async () => {
  const bytes = readFileSync(archive);
  for (const [name, part] of [
    ["empty", Buffer.alloc(0)],
    ["no zip", content],
    ["cut at the end", bytes.subarray(0, bytes.length - 60)],
    ["cut at the start", bytes.subarray(100)],
  ] as const) {
    const path = join(dir, "part.zip");
    writeFileSync(path, part);
    await assert.rejects(
      extractZipMember(path, "pkg/stored", newTarget(), 1_000_000),
      { name: "SystemError" },
      name,
    );
  }
  mkdirSync(join(dir, "directory"), { recursive: true });
  await assert.rejects(extractZipMember(join(dir, "directory"), "a", newTarget(), 1), { code: "disk" });
});
