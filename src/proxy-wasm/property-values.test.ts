import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { deserializeMap } from "./header-map-codec.ts";
import { splitPropertyPath } from "./property-names.ts";
import { encodeProperty, type PropertyValue } from "./property-values.ts";

test("each kind of value has Envoy's encoding", () => {
  const cases: readonly (readonly [PropertyValue, readonly number[]])[] = [
    ["ab\xff", [97, 98, 255]],
    ["", []],
    [Uint8Array.of(0, 1), [0, 1]],
    [true, [1]],
    [false, [0]],
    [{ int: -2n }, [254, 255, 255, 255, 255, 255, 255, 255]],
    [{ uint: 2n ** 64n - 1n }, [255, 255, 255, 255, 255, 255, 255, 255]],
    [{ double: 1.5 }, [0, 0, 0, 0, 0, 0, 248, 63]],
    [{ timestampNs: 258n }, [2, 1, 0, 0, 0, 0, 0, 0]],
    [{ durationNs: -1n }, [255, 255, 255, 255, 255, 255, 255, 255]],
    [{ map: [["k", "v"]] }, [1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 107, 0, 118, 0]],
    [{ map: [] }, []],
    [{ list: ["x"] }, [1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 120, 0, 0]],
  ];
  for (const [value, bytes] of cases) assert.deepEqual([...encodeProperty(value)], bytes);
});

test("numbers come back from their 8 bytes", () => {
  const view = (value: PropertyValue) => {
    const bytes = encodeProperty(value);
    return new DataView(bytes.buffer, bytes.byteOffset, 8);
  };
  fc.assert(
    fc.property(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n), (int) => {
      assert.equal(view({ int }).getBigInt64(0, true), int);
      assert.equal(view({ durationNs: int }).getBigInt64(0, true), int);
    }),
  );
  fc.assert(
    fc.property(fc.double(), (double) => assert.ok(Object.is(view({ double }).getFloat64(0, true), double))),
  );
});

test("a list is read as names without values", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ maxLength: 5, unit: "binary-ascii" })), (list) => {
      assert.deepEqual(
        deserializeMap(encodeProperty({ list })),
        list.map((item) => [item, ""]),
      );
    }),
  );
});

test("a path is split at its NULs, and one at its end is tolerated", () => {
  const split = splitPropertyPath;
  assert.deepEqual(split("request\0path"), ["request", "path"]);
  assert.deepEqual(split("request\0path\0"), ["request", "path"]);
  assert.deepEqual(split("plugin_name"), ["plugin_name"]);
  assert.deepEqual(split("a\0\0b\xe9"), ["a", "", "b\xe9"]);
  assert.deepEqual(split(""), []);
});

test("parts that hold no NUL come back from the path that they make", () => {
  const part = fc
    .uint8Array({ min: 1, minLength: 1, maxLength: 8 })
    .map((bytes) => Buffer.from(bytes).toString("latin1"));
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 6 }), fc.boolean(), (parts, trailing) => {
      assert.deepEqual(splitPropertyPath(parts.join("\0") + (trailing ? "\0" : "")), parts);
    }),
  );
});
