import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { createReplyScanner } from "./reply-scanner.ts";

const line = fc
  .string({ unit: "binary-ascii", maxLength: 40 })
  .map((text) => text.replaceAll(/[\r\n]/g, " "));
const bulk = fc.uint8Array({ maxLength: 60 }).map((bytes) => {
  // Line ends and what looks like a reply inside of a string are only content.
  const content = Buffer.concat([Buffer.from("\r\n*2\r\n").subarray(0, bytes[0] ?? 0), bytes]);
  return Buffer.concat([Buffer.from(`$${content.length}\r\n`), content, Buffer.from("\r\n")]);
});

const reply = fc.letrec<{ reply: Buffer; array: Buffer }>((tie) => ({
  reply: fc.oneof(
    { maxDepth: 4 },
    line.map((text) => Buffer.from(`+${text}\r\n`)),
    line.map((text) => Buffer.from(`-ERR ${text}\r\n`)),
    fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n).map((value) => Buffer.from(`:${value}\r\n`)),
    bulk,
    fc.constantFrom("$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n").map((text) => Buffer.from(text)),
    tie("array"),
  ),
  array: fc
    .array(tie("reply"), { maxLength: 5 })
    .map((items) => Buffer.concat([Buffer.from(`*${items.length}\r\n`), ...items])),
})).reply;

function splitAt(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  return [0, ...places].map((start, i) => bytes.subarray(start, places[i] ?? bytes.length));
}

test("replies are found whatever they hold and wherever they are cut", () => {
  const cuts = fc.array(fc.nat(), { maxLength: 20 });
  fc.assert(
    fc.property(fc.array(reply, { minLength: 1, maxLength: 8 }), cuts, (replies, where) => {
      const scanner = createReplyScanner(1 << 20);
      const found = splitAt(Buffer.concat(replies), where).flatMap((chunk) => scanner.push(chunk));
      assert.deepEqual(
        found.map((bytes) => (bytes === "too-large" ? bytes : Buffer.from(bytes).toString("latin1"))),
        replies.map((bytes) => bytes.toString("latin1")),
      );
    }),
    { numRuns: fuzzRuns(500) },
  );
});

test("replies are found byte by byte", () => {
  const text = "+OK\r\n*2\r\n$3\r\na\r\n\r\n*1\r\n:-5\r\n$-1\r\n";
  const scanner = createReplyScanner(100);
  const found = [...Buffer.from(text)].flatMap((byte) => scanner.push(Uint8Array.of(byte)));
  assert.deepEqual(
    found.map((bytes) => Buffer.from(bytes as Uint8Array).toString()),
    ["+OK\r\n", "*2\r\n$3\r\na\r\n\r\n*1\r\n:-5\r\n", "$-1\r\n"],
  );
});

test("a reply above the limit is passed over, and those around it are not", () => {
  const cut = fc.array(fc.nat(), { maxLength: 10 });
  fc.assert(
    fc.property(cut, (where) => {
      const scanner = createReplyScanner(20);
      const [small, large] = ["$2\r\nab\r\n", `$21\r\n${"x".repeat(21)}\r\n`];
      const chunks = splitAt(Buffer.from(small + large + small), where);
      const found = chunks.flatMap((chunk) => scanner.push(chunk)).map(String);
      assert.deepEqual(found, [String(Buffer.from(small)), "too-large", String(Buffer.from(small))]);
    }),
  );
  const exact = createReplyScanner(20).push(Buffer.from(`$13\r\n${"x".repeat(13)}\r\n`));
  assert.equal((exact[0] as Uint8Array).length, 20);
});

test("what is no RESP2 is an error", () => {
  for (const text of [
    "HTTP/1.1 400 Bad Request\r\n",
    "\r\n",
    "%2\r\n",
    "_\r\n",
    "$x\r\n",
    "$-2\r\n",
    "$5\n",
    "$9999999999\r\n",
  ])
    assert.throws(() => createReplyScanner(100).push(Buffer.from(text)), /expected RESP2/, text);
});

test("no bytes whatsoever give a reply that is longer than they are", () => {
  const byte = fc.constantFrom(..."+-:$*0123\r\n\r\n".split("").map((text) => text.charCodeAt(0)), 255);
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 60 }), (bytes) => {
      let found: (Uint8Array | string)[] = [];
      try {
        found = createReplyScanner(1000).push(Uint8Array.from(bytes));
      } catch (error) {
        assert.match(String(error), /expected RESP2/);
      }
      const length = found.reduce((sum, part) => sum + part.length, 0);
      assert.ok(length <= bytes.length);
    }),
    { numRuns: fuzzRuns(2000) },
  );
});
