import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../test/peers/properties.ts";
import { findHeaderFault } from "./header-faults.ts";
import { type HeaderLine, HeaderMap, joinRepeated } from "./header-map.ts";
import { deserializeMap } from "./header-map-codec.ts";
import { askerOf, buildReply } from "./local-reply.ts";

const request = () =>
  HeaderMap.from([
    [":method", "GET"],
    [":authority", "foo"],
    ["X-Dup", "1"],
    ["x-a", "b"],
    ["x-dup", "2"],
  ]);

test("lines are added at the end, pseudo-headers behind their kind, and to the one line of what there is one of", () => {
  const map = request();
  for (const [name, value] of [
    ["x-dup", "3"],
    [":path", "/"],
    [":method", "POST"],
    ["host", "bar"],
    ["accept", "a"],
    ["accept", "b"],
  ] as const)
    map.add(name, value);
  const pseudo = [
    [":method", "GET,POST"],
    [":authority", "foo,bar"],
    [":path", "/"],
  ];
  assert.deepEqual(map.lines, [
    ...pseudo,
    ["x-dup", "1"],
    ["x-a", "b"],
    ["x-dup", "2"],
    ["x-dup", "3"],
    ["accept", "a,b"],
  ]);
});

test("a header that is replaced comes to the end, as in Envoy", () => {
  const map = request();
  map.replace("x-dup", "only");
  map.replace(":method", "PUT");
  map.replace("host", "bar");
  assert.deepEqual(map.lines, [
    [":method", "PUT"],
    [":authority", "bar"],
    ["x-a", "b"],
    ["x-dup", "only"],
  ]);
});

test("host is a name of :authority only where there is one", () => {
  const map = request();
  assert.equal(map.get("host"), "foo");
  map.remove("host");
  assert.equal(map.get(":authority"), undefined);
  map.add("host", "plain");
  assert.deepEqual(map.lines.at(-1), ["host", "plain"]);
});

const name = fc.constantFrom("x-a", "x-b", "accept", ":path", "host");
const edits = fc.array(
  fc.oneof(
    fc.tuple(
      fc.constantFrom("add" as const, "replace" as const),
      name,
      fc.string({ maxLength: 3, unit: "binary-ascii" }),
    ),
    fc.tuple(fc.constant("remove" as const), name, fc.constant("")),
  ),
);

function encode(map: HeaderMap): Uint8Array {
  const bytes = new Uint8Array(map.encodedSize);
  if (bytes.length > 0) map.encodeTo(bytes, 0);
  return bytes;
}

test("what guests read is the map as it is, after any change", () => {
  fc.assert(
    fc.property(edits, (all) => {
      const map = request();
      for (const [kind, name, value] of all) {
        if (kind === "remove") map.remove(name);
        else map[kind](name, value);
        assert.deepEqual(deserializeMap(encode(map)) ?? [], map.lines);
        assert.equal(map.byteSize, map.lines.flat().join("").length);
        if (kind !== "remove") assert.ok(map.lines.some(([, each]) => each.endsWith(value)));
        else assert.equal(map.get(name), undefined);
      }
    }),
  );
});

test("headers that nobody could send are named", () => {
  const fault = (direction: "request" | "response", lines: HeaderLine[]) => {
    const map = HeaderMap.from(lines);
    map.isSuspect = true;
    return findHeaderFault(direction, map);
  };
  const method: HeaderLine = [":method", "GET"];
  assert.equal(fault("request", [method, ["x-a", "b c"], ["", "dropped"]]), undefined);
  assert.equal(fault("request", [["x-a", "b"]]), "missing required header: :method");
  assert.equal(fault("response", [[":status", "20"]]), "missing required header: :status");
  for (const value of ["a\r\nb: c", "a\0", "a\n"])
    assert.equal(fault("request", [method, ["x-a", value]]), "invalid header value for: x-a");
  for (const name of ["x y", "x:", ":other", "\xe9", "a\r"])
    assert.equal(fault("request", [method, [name, "v"]]), `invalid header name: ${name}`);
});

const local = {
  status: 403,
  headers: [
    ["x-l", "1"],
    ["content-length", "9"],
  ] as HeaderLine[],
  grpcStatus: undefined,
  details: "d",
};

test("a local response has the length and, if it says nothing else, the type of its body", () => {
  const withBody = buildReply({ ...local, body: Buffer.from("no") }, askerOf(request()));
  assert.deepEqual(withBody.headers.lines, [
    [":status", "403"],
    ["x-l", "1"],
    ["content-length", "2"],
    ["content-type", "text/plain"],
  ]);
  const empty = buildReply(
    { ...local, headers: [["content-type", "a/b"]], body: Buffer.alloc(0) },
    askerOf(request()),
  );
  assert.deepEqual(empty.headers.lines, [[":status", "403"]]);
  const head = buildReply({ ...local, body: Buffer.from("no") }, { isHead: true, isGrpc: false });
  assert.deepEqual([head.headers.get("content-length"), head.body.length], ["2", 0]);
});

test("a local response to a gRPC request is a status and no body", () => {
  const grpc = askerOf(HeaderMap.from([["content-type", "application/grpc+proto"]]));
  const answer = buildReply({ ...local, body: Buffer.from("50% é") }, grpc);
  assert.equal(answer.body.length, 0);
  const expected = [
    [":status", "200"],
    ["x-l", "1"],
    ["content-type", "application/grpc"],
    ["grpc-status", "7"],
    ["grpc-message", "50%25 %C3%A9"],
  ];
  assert.deepEqual(answer.headers.lines, expected);
  assert.equal(
    buildReply({ ...local, grpcStatus: 5, body: Buffer.alloc(0) }, grpc).headers.get("grpc-status"),
    "5",
  );
});

test("lines of a name that has one line are put together where the first one stands", () => {
  const received: HeaderLine[] = [
    ["accept", "a"],
    ["cookie", "1"],
    ["authorization", "x"],
    ["cookie", "2"],
    ["accept", ""],
    ["authorization", "y"],
    ["accept", "b"],
  ];
  assert.deepEqual(joinRepeated(received), [
    ["accept", "a,b"],
    ["cookie", "1"],
    ["authorization", "x,y"],
    ["cookie", "2"],
  ]);
});
