import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { Status } from "./abi.ts";
import { Body, ConstantBuffer } from "./body.ts";

const text = (body: Body) => Buffer.from(body.bytes()).toString("latin1");
const bytesOf = (value: string) => Buffer.from(value, "latin1");

/** What Envoy's `set_buffer_bytes` makes of a text; undefined is BAD_ARGUMENT. */
function written(before: string, start: number, length: number, value: string): string | undefined {
  if (start === 0) return value + before.slice(length);
  return start >= before.length ? before + value : undefined;
}

type Operation =
  | { readonly kind: "append" | "move"; readonly value: string }
  | { readonly kind: "write"; readonly start: number; readonly length: number; readonly value: string }
  | { readonly kind: "take" };

const value = fc.string({ maxLength: 8, unit: "binary-ascii" });
const size = fc.oneof(fc.nat(12), fc.constantFrom(0, 0xffff_ffff));
const operations: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ kind: fc.constantFrom("append" as const, "move" as const), value }),
  fc.record({ kind: fc.constant("write" as const), start: size, length: size, value }),
  fc.record({ kind: fc.constant("take" as const) }),
);

test("a body is what a text would be, whatever is done to it", () => {
  fc.assert(
    fc.property(fc.array(operations, { maxLength: 20 }), fc.nat(10), fc.nat(10), (all, start, length) => {
      const body = new Body();
      let model = "";
      for (const each of all) model = apply(body, model, each);
      assert.deepEqual([text(body), body.length], [model, model.length]);
      const end = Math.min(start + length, model.length);
      const read = Buffer.from(body.read(start, Math.max(0, end - start))).toString("latin1");
      assert.equal(read, model.slice(start, end));
    }),
    { numRuns: fuzzRuns(3000) },
  );
});

function apply(body: Body, model: string, operation: Operation): string {
  if (operation.kind === "take") {
    assert.equal(Buffer.from(body.take()).toString("latin1"), model);
    return "";
  }
  const bytes = bytesOf(operation.value);
  if (operation.kind === "write") {
    const after = written(model, operation.start, operation.length, operation.value);
    const status = body.write(operation.start, operation.length, bytes);
    assert.equal(status, after === undefined ? Status.BadArgument : Status.Ok);
    return after ?? model;
  }
  if (operation.kind === "append") body.append(bytes);
  else {
    const other = new Body(bytes);
    body.moveFrom(other);
    assert.equal(other.length, 0);
  }
  return model + operation.value;
}

test("what guests may only read stays as it is", () => {
  const buffer = new ConstantBuffer(bytesOf("abc"));
  assert.equal(buffer.write(), Status.BadArgument);
  assert.equal(Buffer.from(buffer.read(1, 2)).toString(), "bc");
});

test("a body does not grow without end", () => {
  const body = new Body(new Uint8Array(200 * 1024 * 1024));
  assert.equal(body.write(0xffff_ffff, 0, new Uint8Array(60 * 1024 * 1024)), Status.BadArgument);
});
