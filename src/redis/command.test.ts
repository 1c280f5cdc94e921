import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { encodeCommand, findQueryFault } from "./command.ts";

test("a command is an array of bulk strings", () => {
  assert.equal(encodeCommand("SET", "k", "ü").toString(), "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$2\r\nü\r\n");
});

test("any one command may be sent", () => {
  const words = fc.array(fc.string({ unit: "binary", maxLength: 20 }), { maxLength: 6 });
  fc.assert(
    fc.property(words, (rest) => assert.equal(findQueryFault(encodeCommand("GET", ...rest)), undefined)),
  );
});

test("what is not exactly one command is refused", () => {
  const one = encodeCommand("SET", "key", "value");
  for (let length = 0; length < one.length; length++)
    assert.ok(findQueryFault(one.subarray(0, length)), `${length} bytes`);
  const wrong = [
    "PING\r\n",
    "*0\r\n",
    "*-1\r\n",
    "*1\r\n$-1\r\n",
    "*1\r\n:1\r\n",
    "*1\r\n$4\r\nPINGxx",
    "+OK\r\n",
  ];
  for (const text of wrong) assert.ok(findQueryFault(Buffer.from(text)), text);
  assert.ok(findQueryFault(Buffer.concat([one, one])));
});

test("no bytes whatsoever make it throw", () => {
  const byte = fc.constantFrom(..."*$01239\r\n\r\nx".split("").map((text) => text.charCodeAt(0)));
  fc.assert(
    fc.property(fc.array(byte, { maxLength: 40 }), (bytes) => {
      findQueryFault(Uint8Array.from(bytes));
    }),
    { numRuns: fuzzRuns(2000) },
  );
});

test("commands that would take others' replies, or change what theirs mean, are refused", () => {
  const forbidden = [
    ["SUBSCRIBE", "c"],
    ["monitor"],
    ["Auth", "x"],
    ["SELECT", "1"],
    ["HELLO", "3"],
    ["client", "REPLY", "OFF"],
    ["QUIT"],
  ];
  for (const words of forbidden)
    assert.match(findQueryFault(encodeCommand(...words)) ?? "", /shared/, words[0]);
  for (const words of [["CLIENT", "GETNAME"], ["PUBLISH", "c", "m"], ["MULTI"], ["EVAL", "return 1", "0"]])
    assert.equal(findQueryFault(encodeCommand(...words)), undefined);
});
