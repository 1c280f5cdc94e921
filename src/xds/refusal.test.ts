import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { isRefused, noReasons, readRefusal, refusalStatus, stillOpen } from "./refusal.ts";

/** A refusal after a way over the wire. */
function sent(reasons: ReadonlyMap<string, string>) {
  const status = refusalStatus(reasons);
  return readRefusal(status && fromBinary(StatusSchema, toBinary(StatusSchema, status)));
}

suite("a refusal", () => {
  test("has the reason of each name, and all of them as text", () => {
    const reasons = new Map([
      ["ns.a", "no such image"],
      ["ns.b", "refused"],
    ]);
    assert.deepEqual(sent(reasons), { message: "ns.a: no such image; ns.b: refused", reasons });
  });

  test("without reasons is none", () => {
    assert.equal(sent(noReasons), undefined);
    assert.equal(readRefusal(undefined), undefined);
  });

  test("says of what is still being fetched that this is not known, which alone refuses nothing", () => {
    const open = sent(new Map([["ns.a", stillOpen]]))!;
    assert.deepEqual(open, {
      message: "ns.a: is still being fetched",
      reasons: new Map([["ns.a", stillOpen]]),
    });
    assert.equal(isRefused(open), false);
    const both = new Map([
      ["ns.a", stillOpen],
      ["ns.b", "refused"],
    ]);
    assert.equal(isRefused(sent(both)!), true);
  });

  test("of a client that gives no reasons is about everything", () => {
    const foreign = create(StatusSchema, {
      message: "bad",
      details: [create(AnySchema, { typeUrl: "type.googleapis.com/other.Type" })],
    });
    const refusal = readRefusal(foreign)!;
    assert.deepEqual(refusal, { message: "bad", reasons: undefined });
    assert.equal(isRefused(refusal), true);
    assert.equal(readRefusal(create(StatusSchema))?.message, "refused without a reason");
  });
});
