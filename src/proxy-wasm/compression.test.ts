import assert from "node:assert/strict";
import { test } from "node:test";
import { deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import { fc } from "../../test/peers/properties.ts";
import { compressBytes, uncompressBytes } from "./compression.ts";

test("what is compressed is uncompressed, in the zlib format", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 500 }), (bytes) => {
      const compressed = compressBytes(bytes);
      assert.equal(compressed[0], 0x78);
      assert.deepEqual([...uncompressBytes(compressed, 500)!], [...bytes]);
    }),
  );
});

test("bytes behind the stream are ignored", () => {
  const compressed = Buffer.concat([deflateSync("hello"), Buffer.from("more")]);
  assert.equal(Buffer.from(uncompressBytes(compressed, 100)!).toString(), "hello");
});

test("what is no whole zlib stream is refused", () => {
  const whole = deflateSync("hello hello hello");
  for (let length = 0; length < whole.length; length++)
    assert.equal(uncompressBytes(whole.subarray(0, length), 1000), undefined, `${length} bytes`);
  assert.equal(uncompressBytes(gzipSync("hello"), 1000), undefined);
  assert.equal(uncompressBytes(deflateRawSync("hello"), 1000), undefined);
  const corrupt = Buffer.from(whole);
  corrupt[corrupt.length - 1]! ^= 1;
  assert.equal(uncompressBytes(corrupt, 1000), undefined);
});

test("no bytes whatsoever make it throw", () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
      const result = uncompressBytes(Buffer.concat([Uint8Array.of(0x78, 0x9c), bytes]), 1000);
      assert.ok(result === undefined || result.length <= 1000);
    }),
  );
});

test("more than the limit is refused, and no more than it is kept", () => {
  const bomb = deflateSync(Buffer.alloc(10_000_000));
  assert.ok(bomb.length < 20_000);
  assert.equal(uncompressBytes(bomb, 1 << 20), undefined);
  for (const [size, limit, fits] of [
    [100, 100, true],
    [101, 100, false],
    [0, 0, true],
    [1, 0, false],
  ] as const)
    assert.equal(uncompressBytes(deflateSync(Buffer.alloc(size)), limit)?.length, fits ? size : undefined);
});
