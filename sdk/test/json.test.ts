import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { Host, loadModule, type PluginModule } from "./host.ts";
import { buildFixture } from "./modules.ts";

describe("JSON parser", () => {
  let module: PluginModule;
  let host: Host;
  before(async () => {
    module = await loadModule(await buildFixture());
    host = new Host(module);
  });

  /** What the plugin makes of a JSON text, or the error it reports. */
  function parse(text: string | Buffer): { value: unknown } | { error: string } {
    host.logs.length = 0;
    const body = Buffer.concat([Buffer.from('{"echo":'), Buffer.from(text as string), Buffer.from("}")]);
    const started = host.startText(body);
    const line = host.logs[0]!;
    if (!started) return { error: line.replace("configuration is not JSON: ", "") };
    return { value: JSON.parse(line.replace("echo ", "")) };
  }

  /** The error for a whole configuration text. */
  function errorOf(text: string): string {
    host.logs.length = 0;
    assert.equal(host.startText(text), false);
    return host.logs[0]!.replace("configuration is not JSON: ", "");
  }

  it("reads what JSON.stringify writes", () => {
    const json = fc.oneof(
      fc.json({ stringUnit: "binary" }).map((text) => JSON.parse(text) as unknown),
      fc.string({ unit: "binary" }),
      fc.double({ noNaN: true, noDefaultInfinity: true }),
      fc.string({ unit: fc.integer({ min: 0xd7f0, max: 0xe010 }).map((unit) => String.fromCharCode(unit)) }),
    );
    const check = (value: unknown, indent: number) => {
      const text = JSON.stringify(value, null, indent);
      assert.deepEqual(parse(text), { value: JSON.parse(text) });
    };
    fc.assert(fc.property(json, fc.integer({ min: 0, max: 3 }), check), {
      numRuns: fuzzRuns(1500),
      examples: [["\ufffd", 0]],
    });
  });

  /** The double that the plugin reads from a number, and the text that it makes of it. */
  function parseNumber(text: string): { number: number; text: string } {
    host.logs.length = 0;
    assert.equal(host.startText(`{"number":${text}}`), true, text);
    const [, bits, written] = host.logs[0]!.split(" ");
    const view = new DataView(new ArrayBuffer(8));
    view.setBigUint64(0, BigInt(bits!));
    return { number: view.getFloat64(0), text: written! };
  }

  function checkNumber(text: string): void {
    const parsed = parseNumber(text);
    assert.equal(parsed.number, Number(text), text);
    if (!Number.isFinite(parsed.number)) return;
    assert.equal(Number(parsed.text), parsed.number, text);
    assert.match(parsed.text, /^-?\d+(\.\d+)?$/);
  }

  it("rounds every decimal number to the nearest double, and writes it without an exponent", () => {
    const digits = fc.string({ unit: fc.constantFrom(..."0123456789"), minLength: 1, maxLength: 40 });
    const check = (whole: string, fraction: string, exponent: number) =>
      checkNumber(`1${whole}.${fraction}e${exponent}`);
    fc.assert(fc.property(digits, digits, fc.integer({ min: -400, max: 330 }), check), {
      numRuns: fuzzRuns(1500),
    });
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => checkNumber(String(value))),
    );
    const halfway = (1n << 53n) + 1n;
    const hard = [
      `${halfway}`,
      `${halfway}.${"0".repeat(900)}1`,
      "2.4703282292062327e-324",
      "2.4703282292062328e-324",
    ];
    const edges = [
      "5e-324",
      "2.2250738585072011e-308",
      "1.7976931348623157e308",
      "1e309",
      "-0.0",
      "1e-500",
      "0e999999999999",
    ];
    for (const text of [...hard, ...edges]) checkNumber(text);
  });

  it("refuses what JSON.parse refuses", () => {
    const character = fc.constantFrom(...'{}[]",:0123456789.eE+-truefalsn\\u \n\tx');
    const check = (text: string, at: number, replacement: string) => {
      const cut = at % (text.length + 1);
      const broken = text.slice(0, cut) + replacement + text.slice(cut + 1);
      assert.equal("error" in parse(broken), !isJson(`{"echo":${broken}}`), broken);
    };
    fc.assert(fc.property(fc.json(), fc.nat(), character, check), { numRuns: fuzzRuns(2000) });
  });

  it("says where a text is broken and what was expected", () => {
    assert.equal(
      errorOf('{\n  "a": 1,\n  b: 2\n}'),
      "3:3: expected a member's name in double quotes, found 'b'",
    );
    assert.equal(errorOf('{"é": 1 "b": 2}'), "1:9: expected ',' or '}' after a member, found '\"'");
    assert.equal(errorOf("[1, 2"), "1:6: expected ',' or ']' after an element, found the end of the text");
    assert.equal(errorOf("[01]"), "1:3: expected ',' or ']' after an element, found '1'");
    assert.equal(
      errorOf('"\n"'),
      "1:2: expected a control character to be written as an escape, found the control character 10",
    );
    assert.equal(errorOf("{} ü"), "1:4: expected the end of the text, found 'ü'");
    assert.equal(errorOf("  "), "1:3: expected a JSON value, found the end of the text");
  });

  it("bounds the nesting", () => {
    const nested = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
    assert.deepEqual(parse(nested(127)), { value: JSON.parse(nested(127)) as unknown });
    assert.match(errorOf(nested(129)), /^1:129: nested deeper than 128 levels$/);
    assert.match(errorOf("[".repeat(1_000_000)), /nested deeper/);
  });

  it("reads or refuses any bytes with a position, and never traps", () => {
    const text = fc
      .string({ unit: fc.constantFrom(...'{}[]",:\\u0de19-+.tfn \n\u00e9'), maxLength: 60 })
      .map(Buffer.from);
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map(Buffer.from),
      text,
      fc.json().map(Buffer.from),
    );
    const check = (parts: Buffer[], cut: number) => {
      const whole = Buffer.concat(parts);
      host.logs.length = 0;
      const started = host.startText(whole.subarray(0, whole.length - (cut % 4)));
      if (!started) assert.match(host.logs.join("\n"), /^configuration/);
    };
    fc.assert(fc.property(fc.array(bytes, { maxLength: 3 }), fc.nat(), check), { numRuns: fuzzRuns(3000) });
  });

  it("bounds the size", () => {
    const host = new Host(module);
    assert.equal(host.startText(Buffer.alloc(64 * 1024 * 1024 + 1, " ")), false);
    assert.match(host.logs.join(), /1:1: expected at most 67108864 bytes, found 67108865/);
  });

  it("keeps bytes that are not UTF-8", () => {
    const bytes = Buffer.from([0x22, 0x61, 0xff, 0xed, 0xa0, 0x80, 0xc3, 0xa4, 0x22]);
    assert.deepEqual(parse(bytes), { value: "a\udcff\udced\udca0\udc80ä" });
  });
});

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
