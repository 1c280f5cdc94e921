import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { deserializeMap, serializeMap } from "./header-map-codec.ts";

const latin1 = fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const pairs = fc.array(fc.tuple(latin1, latin1), { maxLength: 30 });

test("a map has the bytes of the ABI", () => {
  const bytes = serializeMap([
    ["a", "xyz"],
    ["bc", ""],
  ]);
  const expected = [2, 0, 0, 0, 1, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
  assert.deepEqual([...bytes], [...expected, ...Buffer.from("a\0xyz\0bc\0\0")]);
});

test("an empty map is no bytes, and is read from none, from one zero and from a count of zero", () => {
  assert.equal(serializeMap([]).length, 0);
  for (const bytes of [[], [0], [0, 0, 0, 0]]) assert.deepEqual(deserializeMap(Uint8Array.from(bytes)), []);
});

test("what is encoded is decoded, whatever bytes a string holds", () => {
  fc.assert(fc.property(pairs, (map) => assert.deepEqual(deserializeMap(serializeMap(map)), map)));
});

test("lengths above 255 and 65535 survive", () => {
  for (const length of [255, 256, 65_535, 65_536, 300_000]) {
    const map: [string, string][] = [["name", "v".repeat(length)]];
    assert.deepEqual(deserializeMap(serializeMap(map)), map);
  }
});

test("a map is refused when a byte is missing or left over", () => {
  const atLeastOne = fc.array(fc.tuple(latin1, latin1), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(atLeastOne, fc.nat(), (map, cut) => {
      const bytes = serializeMap(map);
      const shorter = bytes.subarray(0, 2 + (cut % (bytes.length - 2)));
      assert.equal(deserializeMap(shorter), undefined);
      assert.equal(deserializeMap(Buffer.concat([bytes, Buffer.alloc(1)])), undefined);
    }),
  );
});

test("a map is refused without the NUL behind a name or a value", () => {
  for (const fromEnd of [1, 3]) {
    const bytes = serializeMap([["k", "v"]]);
    bytes[bytes.length - fromEnd] = 1;
    assert.equal(deserializeMap(bytes), undefined);
  }
});

test("a map is refused above 1024 pairs and above 1 MiB, and not at them", () => {
  const ofPairs = (count: number) => Array.from({ length: count }, (_, i): [string, string] => [`${i}`, ""]);
  assert.equal(deserializeMap(serializeMap(ofPairs(1024)))?.length, 1024);
  assert.equal(deserializeMap(serializeMap(ofPairs(1025))), undefined);
  const ofBytes = (size: number) => serializeMap([["", "x".repeat(size - 14)]]);
  assert.equal(ofBytes(1 << 20).length, 1 << 20);
  assert.equal(deserializeMap(ofBytes(1 << 20))?.length, 1);
  assert.equal(deserializeMap(ofBytes((1 << 20) + 1)), undefined);
});

test("no bytes that a guest may hand over make it throw or read beyond", () => {
  const anything = fc.oneof(
    fc.uint8Array({ maxLength: 64 }),
    // A small count in front, so that the lengths are looked at.
    fc
      .tuple(fc.integer({ min: 0, max: 4 }), fc.array(fc.constantFrom(0, 0, 0, 1, 2, 255), { maxLength: 64 }))
      .map(([count, rest]) => Uint8Array.from([count, 0, 0, 0, ...rest])),
  );
  fc.assert(
    fc.property(anything, (bytes) => {
      const map = deserializeMap(bytes);
      if (map !== undefined && map.length > 0) assert.deepEqual([...serializeMap(map)], [...bytes]);
    }),
    { numRuns: fuzzRuns(2000) },
  );
});
