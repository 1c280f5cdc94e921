import assert from "node:assert/strict";
import { test } from "node:test";
import { zstdTar } from "../../test/peers/zstd-tar.ts";
import { decompressInScript, findZstd } from "./zstd.ts";

const fixture = Buffer.from(zstdTar, "base64");
const limit = { maxOutputLength: 1 << 20 };

/** A frame of blocks that each say "131,072 times this byte", with a window of 8 MiB unless told. */
function repeated(blocks: number, { window = 0x68, end = "03001041" } = {}): Buffer {
  const header = Buffer.from("28b52ffd00", "hex");
  const body = Buffer.alloc(4 * blocks, Buffer.from("02001041", "hex"));
  return Buffer.concat([header, Buffer.from([window]), body, Buffer.from(end, "hex")]);
}

test("both decoders find the same", async () => {
  const found = await decompressInScript(fixture, limit);
  assert.equal(found.length, 10_240);
  assert.deepEqual(Buffer.from(await findZstd()(fixture, limit)), Buffer.from(found));
});

test("several frames, skippable ones among them, are one content", async () => {
  const skippable = Buffer.from("512a4d1803000000aabbcc", "hex");
  const frames = Buffer.concat([skippable, repeated(0), skippable, repeated(1), fixture]);
  const found = await decompressInScript(frames, limit);
  assert.equal(found.length, 3 * 131_072 + 10_240);
  assert.equal(found[0], 0x41);
});

test("a bomb stops at the limit, before its broken end is seen", async () => {
  const bomb = repeated(8192, { end: "ffffff" });
  await assert.rejects(decompressInScript(bomb, limit), { code: "ERR_BUFFER_TOO_LARGE" });
  await assert.rejects(decompressInScript(repeated(1, { end: "ffffff" }), limit), /invalid block type|EOF/);
});

test("a window that would take the memory of others is refused before it is allocated", async () => {
  for (const bytes of [
    repeated(1, { window: 0xff }),
    Buffer.concat([fixture, repeated(1, { window: 0x90 })]),
  ]) {
    await assert.rejects(
      decompressInScript(bytes, limit),
      /needs a window of \d+ bytes, and Node .* 8388608/,
    );
  }
});

test("what is cut off is an error at every length", async () => {
  for (let length = 4; length < fixture.length - 4; length++) {
    await assert.rejects(decompressInScript(fixture.subarray(0, length), limit), Error, String(length));
  }
});
