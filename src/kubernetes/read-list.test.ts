import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { readList } from "./read-list.ts";

async function* inChunks(text: string, length: number): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += length) yield bytes.subarray(at, at + length);
}

async function read(text: string, length = 7) {
  const items: unknown[] = [];
  const rest = await readList(inChunks(text, length), (item) => items.push(item));
  return { items, rest };
}

const object = fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 4 });

suite("a list, read item by item", () => {
  test("is what parsing the whole gives, however it is written and wherever it is cut", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(object, { maxLength: 5 }),
        fc.dictionary(fc.string(), fc.jsonValue(), { maxKeys: 3 }),
        fc.constantFrom(undefined, " ", "\t"),
        fc.integer({ min: 1, max: 50 }),
        async (items, metadata, space, length) => {
          const text = JSON.stringify({ kind: "List", metadata, items, more: { items } }, undefined, space);
          const found = await read(text, length);
          assert.deepEqual(found.items, JSON.parse(JSON.stringify(items)));
          assert.deepEqual(found.rest, { ...JSON.parse(text), items: [] });
        },
      ),
      { numRuns: fuzzRuns(200) },
    );
  });

  test("without items, or with none", async () => {
    for (const text of ['{"items":null,"metadata":{}}', '{"items":[]}', '{"metadata":{"items":[{"a":1}]}}'])
      assert.deepEqual(await read(text), { items: [], rest: JSON.parse(text) });
  });

  test("a list that is cut off is no list", async () => {
    await assert.rejects(read('{"items":[{"a":1},{"b"'), SyntaxError);
    await assert.rejects(read(""), SyntaxError);
  });

  test("an object that has no end is not waited for", async () => {
    const endless = (async function* () {
      yield Buffer.from('{"items":[{"a":"');
      for (;;) yield Buffer.alloc(1024 * 1024, "a");
    })();
    await assert.rejects(
      readList(endless, () => {}),
      /an object of more than/,
    );
  });
});
