import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary } from "@bufbuild/protobuf";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { ResourceTable } from "./resource-table.ts";
import {
  contentHash,
  createLazySnapshotType,
  createSnapshot,
  createSnapshotType,
  diffTypes,
  encodeResource,
  filterChainResource,
  rawResource,
  type SnapshotType,
} from "./snapshot.ts";

const resource = (name: string, text: string) => rawResource(name, "t", Buffer.from(text));
const typeOf = (contents: Readonly<Record<string, string>>) =>
  createSnapshotType(
    "t",
    Object.entries(contents).map(([name, text]) => resource(name, text)),
  );

suite("contentHash", () => {
  test("depends on content and on where each part ends", () => {
    assert.equal(contentHash("a", "b"), contentHash("a", Buffer.from("b")));
    const hashes = [[], ["a"], ["a", "b"], ["ab"], ["", "ab"], ["ab", ""]].map((parts) =>
      contentHash(...parts),
    );
    assert.equal(new Set(hashes).size, hashes.length);
  });

  test("fits a log line and a label", () => assert.match(contentHash("a"), /^[\w-]{16}$/));
});

suite("resources", () => {
  test("the version is that of type and content, whatever the name", () => {
    assert.equal(resource("a", "x").version, resource("b", "x").version);
    assert.notEqual(resource("a", "x").version, resource("a", "y").version);
    const typed = rawResource("a", "other", Buffer.from("x"));
    assert.notEqual(resource("a", "x").version, typed.version);
  });

  test("the value is a part of the frame, and not a second copy", () => {
    const { value, frame } = resource("a", "hello");
    assert.equal(Buffer.from(value).toString(), "hello");
    assert.equal(value.buffer, frame.buffer);
    assert.equal(resource("a", "").value.length, 0);
  });

  test("a message is encoded under its type URL", () => {
    const { name, typeUrl, value } = encodeResource("c", ClusterSchema, create(ClusterSchema, { name: "c" }));
    assert.deepEqual([name, typeUrl], ["c", "type.googleapis.com/envoy.config.cluster.v3.Cluster"]);
    assert.equal(fromBinary(ClusterSchema, value).name, "c");
  });
});

suite("createSnapshotType", () => {
  test("gives back the previous one where nothing changed", () => {
    const before = typeOf({ a: "1", b: "2" });
    assert.equal(createSnapshotType("t", [resource("a", "1"), resource("b", "2")], before), before);
  });

  test("is another one, of another version, with each kind of change", () => {
    const before = typeOf({ a: "1", b: "2" });
    const others: Record<string, string>[] = [
      { a: "1", b: "3" },
      { a: "1" },
      { a: "1", b: "2", c: "3" },
      { a: "1", c: "2" },
      { b: "1", a: "2" },
    ];
    for (const contents of others) {
      const after = createSnapshotType("t", [...typeOf(contents).resources.values()], before);
      assert.notEqual(after, before);
      assert.notEqual(after.version, before.version, JSON.stringify(contents));
    }
  });

  test("the same content has the same version, also without a previous one", () => {
    assert.equal(typeOf({ a: "1", b: "2" }).version, typeOf({ a: "1", b: "2" }).version);
  });

  test("of two resources of one name the last counts", () => {
    const { resources } = createSnapshotType("t", [resource("a", "1"), resource("a", "2")]);
    assert.equal(resources.size, 1);
    assert.equal(resources.get("a")!.version, resource("a", "2").version);
  });
});

/** Names in order, each with a content; long enough for several parts of a version. */
const contents = fc.dictionary(fc.nat(300).map(String), fc.constantFrom("1", "2"), {
  minKeys: 60,
  maxKeys: 200,
});

test("a type that follows another is what it would be alone, and their difference is that of their contents", () => {
  fc.assert(
    fc.property(contents, fc.array(contents, { maxLength: 2 }), fc.nat(300), (first, others, edited) => {
      const sequence = [first, { ...first, [edited]: "other" }, ...others];
      let before = typeOf({});
      for (const now of sequence) {
        const alone = typeOf(now);
        const after = createSnapshotType("t", [...alone.resources.values()], before);
        assert.equal(after.version, alone.version);
        assert.deepEqual([...after.resources], [...alone.resources]);
        assert.deepEqual([...after.resources.keys()], Object.keys(now));
        const { changed, removed } = diffTypes(before, after);
        const versions = (type: typeof before) =>
          new Map([...type.resources].map(([name, r]) => [name, r.version]));
        const [old, young] = [versions(before), versions(after)];
        assert.deepEqual(
          changed.map(({ name }) => name),
          [...young.keys()].filter((name) => old.get(name) !== young.get(name)),
        );
        assert.deepEqual(
          removed,
          [...old.keys()].filter((name) => !young.has(name)),
        );
        before = after;
      }
    }),
    { numRuns: fuzzRuns(50) },
  );
});

test("types of the same names share what finds them", () => {
  const before = typeOf({ a: "1", b: "2" });
  const after = createSnapshotType("t", [resource("a", "1"), resource("b", "3")], before);
  const [one, other] = [before.resources, after.resources] as ResourceTable[];
  assert.ok(other!.sharesNames(one!));
  assert.equal(after.resources.get("b")?.version, resource("b", "3").version);
  assert.ok(!(typeOf({ a: "1", b: "2" }).resources as ResourceTable).sharesNames(one!));
});

test("lazy types that nobody asks for know of the last that was made, and of no other", () => {
  const types: SnapshotType[] = [];
  for (const text of ["0", "1", "2", "3"]) {
    types.push(createLazySnapshotType("t", () => [resource("a", text)], types.at(-1)));
    assert.ok(types[0]!.version);
  }
  const [first, , , last] = types.map(({ resources }) => resources as ResourceTable);
  assert.ok(last!.sharesNames(first!));
});

test("a lazy type makes its resources once, when they are asked for", () => {
  let made = 0;
  const lazy = createLazySnapshotType("t", () => {
    made++;
    return [resource("a", "1")];
  });
  const snapshot = createSnapshot([lazy]);
  assert.equal(snapshot.get("t"), lazy);
  assert.equal(made, 0);
  assert.equal(lazy.version, typeOf({ a: "1" }).version);
  assert.deepEqual([...lazy.resources.keys()], ["a"]);
  assert.equal(made, 1);
});

suite("diffTypes", () => {
  test("names what was added, changed and removed", () => {
    const { changed, removed } = diffTypes(
      typeOf({ a: "1", b: "2", c: "3" }),
      typeOf({ a: "1", b: "9", d: "4" }),
    );
    assert.deepEqual(
      changed.map(({ name }) => name),
      ["b", "d"],
    );
    assert.deepEqual(removed, ["c"]);
  });

  test("is computed once for a pair", () => {
    const [a, b] = [typeOf({ a: "1" }), typeOf({ a: "2" })];
    assert.equal(diffTypes(a, b), diffTypes(a, b));
    assert.notEqual(diffTypes(a, b), diffTypes(b, a));
  });

  test("whoever applies it to the one has the other", () => {
    const contents = fc.dictionary(fc.constantFrom(..."abcdef"), fc.constantFrom("1", "2", "3"), {
      noNullPrototype: true,
    });
    fc.assert(
      fc.property(contents, contents, (before, after) => {
        const [from, to] = [typeOf(before), typeOf(after)];
        const { changed, removed } = diffTypes(from, to);
        const applied = new Map([...from.resources.values()].map(({ name, version }) => [name, version]));
        for (const { name, version } of changed) {
          assert.notEqual(applied.get(name), version, "what did not change is not sent");
          applied.set(name, version);
        }
        for (const name of removed) assert.ok(applied.delete(name));
        assert.deepEqual(
          applied,
          new Map([...to.resources.values()].map(({ name, version }) => [name, version])),
        );
      }),
    );
  });
});

test("of chains that exchange a filter the one that gets it comes first", () => {
  const [x, y] = [resource("x", "x"), resource("y", "y")];
  const type = (first: (typeof x)[], second: (typeof x)[]) =>
    createSnapshotType("t", [filterChainResource("first", first), filterChainResource("second", second)]);
  const namesOf = (from: ReturnType<typeof type>, to: ReturnType<typeof type>) =>
    diffTypes(from, to).changed.map(({ name }) => name);
  assert.deepEqual(namesOf(type([x, y], []), type([x], [y])), ["second", "first"]);
  assert.deepEqual(namesOf(type([x], [y]), type([x, y], [])), ["first", "second"]);
});
