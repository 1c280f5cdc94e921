import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { packTar, type TarHeader } from "modern-tar";
import { tinyModule } from "../../test/peers/tiny-module.ts";
import { zstdTar } from "../../test/peers/zstd-tar.ts";
import { SystemError, type SystemErrorCode } from "../system-error.ts";
import { type TarRule, unpackModule } from "./unpack-module.ts";

const module = tinyModule("the plugin");

function unpack(bytes: Uint8Array, tarRule: TarRule = "named", maxBytes = 1 << 20) {
  return unpackModule(bytes, { what: "the layer", maxBytes, tarRule });
}

async function tarOf(...entries: readonly (Partial<TarHeader> & { name: string; body?: Uint8Array })[]) {
  return packTar(
    entries.map(({ body, ...header }) => ({ header: { size: body?.length ?? 0, ...header }, body })),
  );
}

function refusal(code: SystemErrorCode, message: RegExp) {
  return (error: unknown) => {
    assert.ok(error instanceof SystemError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, message);
    return true;
  };
}

test("modules as they are, in gzip, in tar and in both", async () => {
  const tar = await tarOf({ name: "etc/", type: "directory" }, { name: "./plugin.wasm", body: module });
  for (const bytes of [module, gzipSync(module), tar, gzipSync(tar), gzipSync(gzipSync(tar))]) {
    assert.deepEqual(Buffer.from(await unpack(bytes)), Buffer.from(module));
  }
});

test("zstd: a tar as the zstd command compresses it, and an empty frame", async () => {
  const found = await unpack(Buffer.from(zstdTar, "base64"));
  assert.deepEqual(Buffer.from(found), Buffer.from(tinyModule("zstd")));
  const empty = Buffer.from("28b52ffd2000010000", "hex");
  await assert.rejects(unpack(empty), refusal("module-invalid", /found 0 bytes/));
});

test("tars of GNU tar in its own format and in that of POSIX", async () => {
  const { mkdtempSync, rmSync, writeFileSync } = await import("node:fs");
  const { tmpdir } = await import("node:os");
  const { join } = await import("node:path");
  const directory = mkdtempSync(join(tmpdir(), "unpack-"));
  try {
    writeFileSync(join(directory, "plugin.wasm"), module);
    for (const format of ["gnu", "ustar", "posix"]) {
      const tar = execFileSync("tar", ["-C", directory, `--format=${format}`, "-c", "./plugin.wasm"]);
      assert.deepEqual(Buffer.from(await unpack(tar)), Buffer.from(module), format);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("the named file wins, the first counts only where the rule says so", async () => {
  const other = tinyModule("other");
  const both = await tarOf({ name: "a.wasm", body: other }, { name: "b/plugin.wasm", body: module });
  assert.deepEqual(Buffer.from(await unpack(both, "named-or-first")), Buffer.from(module));
  const one = await tarOf({ name: "dir/", type: "directory" }, { name: "a.wasm", body: other });
  assert.deepEqual(Buffer.from(await unpack(one, "named-or-first")), Buffer.from(other));
  await assert.rejects(
    unpack(one),
    refusal(
      "module-invalid",
      /the tar holds dir\/ \(directory\), a\.wasm; expected a file named plugin\.wasm/,
    ),
  );
});

test("links, devices and names that climb are not taken", async () => {
  const odd = await tarOf(
    { name: "../plugin.wasm", body: module },
    { name: "a/../../plugin.wasm", body: module },
    { name: "plugin.wasm", type: "symlink", linkname: "/etc/passwd" },
    { name: "b/plugin.wasm", type: "link", linkname: "../plugin.wasm" },
    { name: "c/plugin.wasm", type: "character-device" },
  );
  await assert.rejects(unpack(odd), refusal("module-invalid", /plugin\.wasm \(symlink\)/));
  await assert.rejects(unpack(odd, "named-or-first"), refusal("module-invalid", /expected a file named/));
});

test("what is no module is refused with what it is", async () => {
  await assert.rejects(
    unpack(Buffer.from("hello, world")),
    refusal("module-invalid", /12 bytes beginning with 68656c6c/),
  );
  await assert.rejects(unpack(new Uint8Array()), refusal("module-invalid", /0 bytes beginning with nothing/));
  await assert.rejects(unpack(module.subarray(0, 7)), refusal("module-invalid", /of another kind/));
  const component = Buffer.from("0061736d0d000100", "hex");
  await assert.rejects(unpack(component), refusal("module-invalid", /version bytes 0d000100.*not modules/));
});

test("broken wrappings are refused", async () => {
  const tar = await tarOf({ name: "plugin.wasm", body: module });
  await assert.rejects(unpack(gzipSync(tar).subarray(0, 60)), refusal("module-invalid", /broken gzip/));
  await assert.rejects(unpack(tar.subarray(0, 530)), refusal("module-invalid", /broken tar: .*truncated/));
  const changed = Buffer.from(tar);
  changed[0] = 0x71;
  await assert.rejects(unpack(changed), refusal("module-invalid", /broken tar/));
});

test("what grows beyond the limit is stopped", async () => {
  const bomb = gzipSync(Buffer.alloc(4 << 20));
  await assert.rejects(unpack(bomb), refusal("too-large", /unpacked it has more than 1048576 bytes/));
  const nested = gzipSync(gzipSync(gzipSync(gzipSync(gzipSync(gzipSync(module))))));
  await assert.rejects(unpack(nested), refusal("module-invalid", /beginning with 1f8b/));
});
