import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { createIncrementalStream } from "./incremental-stream.ts";
import { ownAgent } from "./own-agent.ts";
import { type Reasons, refusalStatus } from "./refusal.ts";
import { resourceStates } from "./resource-states.ts";
import { createSnapshot, createSnapshotType, rawResource, type Snapshot } from "./snapshot.ts";
import { pushOrder, typeUrls } from "./type-urls.ts";

const { listener, cluster, endpoints, routes, extensionConfig, secret } = typeUrls;
const mcp = "extensions.istio.io/v1alpha1/WasmPlugin";

const resource = (name: string, text: string) => rawResource(name, "t", Buffer.from(text));
const versionOf = (name: string, text: string) => resource(name, text).version;

type Contents = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** A snapshot from texts by type URL and name. Types that did not change keep their identity, as in a real source. */
function snapshotOf(contents: Contents, previous?: Snapshot): Snapshot {
  return createSnapshot(
    Object.entries(contents).map(([typeUrl, texts]) => {
      const resources = Object.entries(texts).map(([name, text]) => resource(name, text));
      return createSnapshotType(typeUrl, resources, previous?.get(typeUrl));
    }),
  );
}

interface Received {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly changed: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
}

/** A client's end of a stream, without a wire between. */
function openStream() {
  let received: Received[] = [];
  const buffers: Buffer[] = [];
  const stream = createIncrementalStream((encode) => {
    const bytes = encode();
    buffers.push(bytes);
    const { typeUrl, nonce, resources, removedResources } = fromBinary(DeltaDiscoveryResponseSchema, bytes);
    const texts = resources.map(({ name, version, resource: any }) => {
      const text = Buffer.from(any!.value).toString();
      assert.equal(version, versionOf(name, text));
      return [name, text];
    });
    received.push({ typeUrl, nonce, changed: Object.fromEntries(texts), removed: removedResources });
  });
  let snapshot: Snapshot | undefined;
  return {
    buffers,
    status: stream.status,
    statusOf: (typeUrl: string) => stream.status().find((each) => each.typeUrl === typeUrl)!,
    set(contents: Contents): Snapshot {
      snapshot = snapshotOf(contents, snapshot);
      stream.onSnapshot(snapshot);
      return snapshot;
    },
    onSnapshot: stream.onSnapshot,
    request(fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>): void {
      stream.onRequest(create(DeltaDiscoveryRequestSchema, fields));
    },
    subscribe(typeUrl: string, ...names: string[]): void {
      stream.onRequest(create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: names }));
    },
    /** Answers a response; an error is a NACK. */
    answer({ typeUrl, nonce }: Received, error?: string | Reasons): void {
      const errorDetail =
        typeof error === "string" ? { code: 3, message: error } : error && refusalStatus(error);
      stream.onRequest(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce, errorDetail }));
    },
    /** What came since the last time. */
    take(): Received[] {
      const taken = received;
      received = [];
      return taken;
    },
    /** The same as `[type, texts of what changed, removed names]`. */
    changes() {
      return this.take().map(({ typeUrl, changed, removed }) => [typeUrl, changed, removed]);
    },
    /** The same, each answered with an ACK. */
    answeredChanges() {
      const taken = this.take();
      for (const response of taken) this.answer(response);
      return taken.map(({ typeUrl, changed, removed }) => [typeUrl, changed, removed]);
    },
  };
}

suite("a wildcard", () => {
  test("gets everything, and from then on what changed", () => {
    const client = openStream();
    client.set({ [mcp]: { a: "1", b: "1" } });
    client.subscribe(mcp);
    assert.deepEqual(client.changes(), [[mcp, { a: "1", b: "1" }, []]]);
    client.set({ [mcp]: { a: "1", b: "2" } });
    assert.deepEqual(client.changes(), [[mcp, { b: "2" }, []]]);
    client.set({ [mcp]: { a: "1", b: "2", c: "1" } });
    assert.deepEqual(client.changes(), [[mcp, { c: "1" }, []]]);
    client.set({ [mcp]: { b: "2", c: "1" } });
    assert.deepEqual(client.changes(), [[mcp, {}, ["a"]]]);
    client.set({ [mcp]: { b: "2", c: "1" } });
    assert.deepEqual(client.changes(), []);
  });

  test("is answered also where there is nothing, and for types that nobody knows", () => {
    const client = openStream();
    client.set({ [mcp]: {} });
    for (const typeUrl of [mcp, "core/v1alpha1/MeshConfig"]) client.subscribe(typeUrl);
    assert.deepEqual(client.changes(), [
      [mcp, {}, []],
      ["core/v1alpha1/MeshConfig", {}, []],
    ]);
  });

  test("waits for the first snapshot, and is answered once", () => {
    const client = openStream();
    client.subscribe(mcp);
    client.subscribe(listener);
    assert.deepEqual(client.changes(), []);
    client.set({ [mcp]: { a: "1" } });
    assert.deepEqual(client.changes(), [
      [listener, {}, []],
      [mcp, { a: "1" }, []],
    ]);
  });

  test("gets a type that appears and disappears", () => {
    const client = openStream();
    client.set({});
    client.subscribe(mcp);
    client.take();
    client.set({ [mcp]: { a: "1" } });
    assert.deepEqual(client.changes(), [[mcp, { a: "1" }, []]]);
    client.set({});
    assert.deepEqual(client.changes(), [[mcp, {}, ["a"]]]);
  });

  test("can be asked for and given up by the name *", () => {
    const client = openStream();
    client.set({ [listener]: { a: "1", b: "1" } });
    client.subscribe(listener, "*");
    assert.deepEqual(client.changes(), [[listener, { a: "1", b: "1" }, []]]);
    client.request({ typeUrl: listener, resourceNamesUnsubscribe: ["*"], resourceNamesSubscribe: ["b"] });
    client.take();
    client.set({ [listener]: { a: "2", b: "2" } });
    assert.deepEqual(client.changes(), [[listener, { b: "2" }, []]]);
  });

  test("with names in its first request is none, of any type", () => {
    const client = openStream();
    client.set({ [listener]: { a: "1", b: "1" } });
    client.subscribe(listener, "a");
    assert.deepEqual(client.changes(), [[listener, { a: "1" }, []]]);
  });

  test("has an answer that stays whole, whatever its size", () => {
    const client = openStream();
    const big = "x".repeat(40_000);
    client.set({ [mcp]: { a: big, b: big, c: big } });
    client.subscribe(mcp);
    assert.deepEqual(
      client.take().map(({ changed }) => Object.keys(changed)),
      [["a", "b", "c"]],
    );
  });
});

suite("names", () => {
  test("get what they name and nothing else", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1", b: "1" } });
    client.subscribe(extensionConfig, "a");
    assert.deepEqual(client.answeredChanges(), [[extensionConfig, { a: "1" }, []]]);
    client.set({ [extensionConfig]: { a: "1", b: "2" } });
    assert.deepEqual(client.changes(), []);
    client.set({ [extensionConfig]: { a: "2", b: "3" } });
    assert.deepEqual(client.changes(), [[extensionConfig, { a: "2" }, []]]);
  });

  test("that are added get only what they name", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1", b: "1" } });
    client.subscribe(extensionConfig, "a");
    client.answeredChanges();
    client.subscribe(extensionConfig, "b");
    assert.deepEqual(client.answeredChanges(), [[extensionConfig, { b: "1" }, []]]);
    client.set({ [extensionConfig]: { a: "2", b: "2" } });
    assert.deepEqual(client.changes(), [[extensionConfig, { a: "2", b: "2" }, []]]);
  });

  test("that are asked for again are sent again", () => {
    const client = openStream();
    client.set({ [routes]: { a: "1", b: "1" } });
    client.subscribe(routes, "a", "b");
    client.take();
    client.subscribe(routes, "a");
    assert.deepEqual(client.changes(), [[routes, { a: "1" }, []]]);
  });

  test("that are given up get nothing any more", () => {
    const client = openStream();
    client.set({ [routes]: { a: "1", b: "1" } });
    client.subscribe(routes, "a", "b");
    client.take();
    client.request({ typeUrl: routes, resourceNamesUnsubscribe: ["a"] });
    client.set({ [routes]: { a: "2", b: "2" } });
    assert.deepEqual(client.changes(), [[routes, { b: "2" }, []]]);
    assert.deepEqual([...client.statusOf(routes).names!], ["b"]);
  });

  test("of what is not there yet get it when it comes", () => {
    const client = openStream();
    client.set({ [routes]: {} });
    client.subscribe(routes, "a");
    assert.deepEqual(client.changes(), []);
    client.set({ [routes]: { a: "1" } });
    assert.deepEqual(client.changes(), [[routes, { a: "1" }, []]]);
  });

  test("none of a type that must be named: nothing", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1" } });
    client.subscribe(extensionConfig);
    assert.deepEqual(client.changes(), []);
    client.subscribe(extensionConfig, "a");
    assert.deepEqual(client.changes(), [[extensionConfig, { a: "1" }, []]]);
  });

  test("that came in several requests before the first snapshot are answered together", () => {
    const client = openStream();
    client.subscribe(routes, "a");
    client.subscribe(routes, "b");
    client.set({ [routes]: { a: "1", b: "1", c: "1" } });
    assert.deepEqual(client.changes(), [[routes, { a: "1", b: "1" }, []]]);
  });

  test("have large answers in parts, each acknowledged for itself", () => {
    const client = openStream();
    const text = "x".repeat(25_000);
    const names = ["a", "b", "c", "d", "e"];
    client.set({ [extensionConfig]: Object.fromEntries(names.map((name) => [name, text])) });
    client.subscribe(extensionConfig, ...names);
    const parts = client.take();
    assert.deepEqual(
      parts.map(({ changed }) => Object.keys(changed)),
      [["a", "b"], ["c", "d"], ["e"]],
    );
    assert.equal(new Set(parts.map(({ nonce }) => nonce)).size, 3);
    for (const bytes of client.buffers) assert.ok(bytes.length < 64 * 1024 + 200, `${bytes.length} bytes`);
    client.answer(parts[0]!);
    assert.deepEqual([...client.statusOf(extensionConfig).pending], ["c", "d", "e"]);
    client.answer(parts[1]!, "no");
    client.answer(parts[2]!);
    assert.deepEqual([...client.statusOf(extensionConfig).rejected.keys()], ["c", "d"]);
  });

  test("have a single resource above the size of a part in a part of its own", () => {
    const client = openStream();
    const texts = { a: "1", b: "x".repeat(200_000), c: "1" };
    client.set({ [extensionConfig]: texts });
    client.subscribe(extensionConfig, ...Object.keys(texts));
    assert.deepEqual(client.changes(), [
      [extensionConfig, { a: "1" }, []],
      [extensionConfig, { b: texts.b }, []],
      [extensionConfig, { c: "1" }, []],
    ]);
  });
});

suite("initial versions", () => {
  test("what the client has as it is now is not sent", () => {
    const client = openStream();
    client.set({ [mcp]: { a: "1", b: "2", c: "1" } });
    const initialResourceVersions = { a: versionOf("a", "1"), b: versionOf("b", "1") };
    client.request({ typeUrl: mcp, initialResourceVersions });
    assert.deepEqual(client.changes(), [[mcp, { b: "2", c: "1" }, []]]);
  });

  test("what is gone is removed, and a wildcard that has everything gets an empty answer", () => {
    const client = openStream();
    client.set({ [mcp]: { a: "1" }, [listener]: { l: "1" } });
    client.request({ typeUrl: mcp, initialResourceVersions: { a: versionOf("a", "1"), gone: "v" } });
    client.request({ typeUrl: listener, initialResourceVersions: { l: versionOf("l", "1") } });
    assert.deepEqual(client.changes(), [
      [mcp, {}, ["gone"]],
      [listener, {}, []],
    ]);
  });

  test("count also where the snapshot comes later", () => {
    const client = openStream();
    client.request({
      typeUrl: routes,
      resourceNamesSubscribe: ["a", "b", "gone"],
      initialResourceVersions: { a: versionOf("a", "1"), b: "old", gone: "v" },
    });
    client.set({ [routes]: { a: "1", b: "2" } });
    assert.deepEqual(client.changes(), [[routes, { b: "2" }, ["gone"]]]);
  });

  test("names that have everything get no answer", () => {
    const client = openStream();
    client.set({ [routes]: { a: "1" } });
    client.request({
      typeUrl: routes,
      resourceNamesSubscribe: ["a"],
      initialResourceVersions: { a: versionOf("a", "1") },
    });
    assert.deepEqual(client.changes(), []);
    client.set({ [routes]: { a: "2" } });
    assert.deepEqual(client.changes(), [[routes, { a: "2" }, []]]);
  });

  test("removals come once, after the last part", () => {
    const client = openStream();
    const text = "x".repeat(40_000);
    client.set({ [routes]: { a: text, b: text } });
    client.request({
      typeUrl: routes,
      resourceNamesSubscribe: ["a", "b", "gone"],
      initialResourceVersions: { gone: "v" },
    });
    assert.deepEqual(client.changes(), [
      [routes, { a: text }, []],
      [routes, { b: text }, ["gone"]],
    ]);
  });
});

suite("ECDS resources are removed for agents of ours only", () => {
  test("for one, when they go and when it comes back with them", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1" } });
    client.request({
      node: { id: "gateway", metadata: { ...ownAgent } },
      typeUrl: extensionConfig,
      resourceNamesSubscribe: ["a", "gone"],
      initialResourceVersions: { gone: "v" },
    });
    assert.deepEqual(client.changes(), [[extensionConfig, { a: "1" }, ["gone"]]]);
    client.set({ [extensionConfig]: {} });
    client.set({ [extensionConfig]: { a: "1" } });
    assert.deepEqual(client.changes(), [
      [extensionConfig, {}, ["a"]],
      [extensionConfig, { a: "1" }, []],
    ]);
  });

  test("for nobody else, neither when they go nor for a client that comes back with them", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1", b: "1" } });
    client.request({
      typeUrl: extensionConfig,
      resourceNamesSubscribe: ["a", "b", "gone"],
      initialResourceVersions: { gone: "v" },
    });
    assert.deepEqual(client.answeredChanges(), [[extensionConfig, { a: "1", b: "1" }, []]]);
    client.set({ [extensionConfig]: { a: "1" } });
    assert.deepEqual(client.changes(), []);
    client.set({ [extensionConfig]: { a: "1", b: "2" } });
    assert.deepEqual(client.changes(), [[extensionConfig, { b: "2" }, []]]);
  });
});

suite("two ECDS resources of one name could change places on their way to Envoy", () => {
  const statusOf = (client: ReturnType<typeof openStream>) =>
    Object.fromEntries(
      resourceStates(client.statusOf(extensionConfig)).map(({ name, state }) => [name, state]),
    );

  function openWithTwo() {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1", b: "1" } });
    client.subscribe(extensionConfig, "a", "b");
    const [first] = client.take();
    client.answer(first!);
    return client;
  }

  test("so that the later is sent, as it is then, with the answer to the earlier; others do not wait", () => {
    const client = openWithTwo();
    client.set({ [extensionConfig]: { a: "2", b: "1" } });
    const [earlier] = client.take();
    client.set({ [extensionConfig]: { a: "3", b: "2" } });
    const [other] = client.take();
    assert.deepEqual(other!.changed, { b: "2" });
    client.set({ [extensionConfig]: { a: "4", b: "2" } });
    client.answer(other!);
    assert.deepEqual(client.changes(), []);
    assert.deepEqual(statusOf(client), { a: "PENDING", b: "SYNCED" });
    client.answer(earlier!);
    const [later] = client.take();
    assert.deepEqual(later!.changed, { a: "4" });
    assert.deepEqual(statusOf(client), { a: "PENDING", b: "SYNCED" });
    client.answer(later!);
    assert.deepEqual(client.changes(), []);
    assert.deepEqual(statusOf(client), { a: "SYNCED", b: "SYNCED" });
  });

  test("also where the earlier is refused, and where it is asked for again", () => {
    const client = openWithTwo();
    client.set({ [extensionConfig]: { a: "2", b: "1" } });
    const [earlier] = client.take();
    client.subscribe(extensionConfig, "a");
    client.set({ [extensionConfig]: { a: "3", b: "1" } });
    assert.deepEqual(client.changes(), []);
    client.answer(earlier!, "no such image");
    assert.deepEqual(client.changes(), [[extensionConfig, { a: "3" }, []]]);
  });

  test("and one that is gone, or given up, meanwhile is not sent", () => {
    const client = openWithTwo();
    client.set({ [extensionConfig]: { a: "2", b: "2" } });
    const [earlier] = client.take();
    client.set({ [extensionConfig]: { a: "3", b: "3" } });
    client.set({ [extensionConfig]: { b: "3" } });
    client.request({ typeUrl: extensionConfig, resourceNamesUnsubscribe: ["b"] });
    client.answer(earlier!);
    assert.deepEqual(client.changes(), []);
  });

  test("but not where an agent of ours keeps their order, and in no other type", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1" }, [routes]: { r: "1" } });
    client.request({
      node: { id: "gateway", metadata: { ...ownAgent } },
      typeUrl: extensionConfig,
      resourceNamesSubscribe: ["a"],
    });
    client.subscribe(routes, "r");
    client.take();
    client.set({ [extensionConfig]: { a: "2" }, [routes]: { r: "2" } });
    client.set({ [extensionConfig]: { a: "3" }, [routes]: { r: "3" } });
    assert.deepEqual(client.changes(), [
      [extensionConfig, { a: "2" }, []],
      [routes, { r: "2" }, []],
      [extensionConfig, { a: "3" }, []],
      [routes, { r: "3" }, []],
    ]);
  });
});

suite("make before break", () => {
  const everything = (text: string) =>
    Object.fromEntries([...pushOrder, mcp].map((typeUrl) => [typeUrl, { x: text }]));

  function openAll() {
    const client = openStream();
    for (const typeUrl of [mcp, ...[...pushOrder].reverse()]) client.subscribe(typeUrl, "x");
    return client;
  }

  test("types come in push order, whatever the order of the subscriptions", () => {
    const client = openAll();
    const order = [cluster, endpoints, secret, extensionConfig, listener, routes, mcp];
    for (const text of ["1", "2"]) {
      client.set(everything(text));
      assert.deepEqual(
        client.answeredChanges(),
        order.map((typeUrl) => [typeUrl, { x: text }, []]),
      );
    }
  });

  test("removals come after everything else and in the opposite order", () => {
    const client = openAll();
    client.set({ ...everything("1"), [cluster]: { x: "1" } });
    client.take();
    client.set({ [cluster]: { y: "1" }, [routes]: { x: "2" } });
    assert.deepEqual(client.changes(), [
      [routes, { x: "2" }, []],
      [mcp, {}, ["x"]],
      [listener, {}, ["x"]],
      [secret, {}, ["x"]],
      [endpoints, {}, ["x"]],
      [cluster, {}, ["x"]],
    ]);
  });

  test("a type that changes and loses at once does both, apart", () => {
    const client = openStream();
    client.set({ [cluster]: { a: "1", b: "1" }, [listener]: { l: "1" } });
    client.subscribe(cluster);
    client.subscribe(listener);
    client.take();
    client.set({ [cluster]: { b: "2" }, [listener]: { l: "2" } });
    assert.deepEqual(client.changes(), [
      [cluster, { b: "2" }, []],
      [listener, { l: "2" }, []],
      [cluster, {}, ["a"]],
    ]);
  });

  test("the last type that changes does both in one response, or in its last part", () => {
    const client = openStream();
    const large = "x".repeat(40_000);
    client.set({ [cluster]: { a: "1" }, [routes]: { r: "1", s: "1", t: "1" } });
    client.subscribe(cluster);
    client.subscribe(routes, "r", "s", "t");
    client.take();
    client.set({ [cluster]: { b: "1" }, [routes]: { r: "2", t: "1" } });
    assert.deepEqual(client.changes(), [
      [cluster, { b: "1" }, []],
      [routes, { r: "2" }, ["s"]],
      [cluster, {}, ["a"]],
    ]);
    client.set({ [cluster]: { b: "1" }, [routes]: { s: large, t: large } });
    assert.deepEqual(client.changes(), [
      [routes, { s: large }, []],
      [routes, { t: large }, ["r"]],
    ]);
  });
});

suite("answers", () => {
  test("a NACK is noted for each of its resources, and taken back by an ACK of the same nonce", () => {
    const client = openStream();
    client.set({ [extensionConfig]: { a: "1", b: "1" } });
    client.subscribe(extensionConfig, "a", "b");
    const [first] = client.take();
    client.answer(first!, "no such module");
    const refused = client.statusOf(extensionConfig);
    assert.deepEqual([...refused.rejected.keys()], ["a", "b"]);
    assert.equal(refused.rejected.get("a")!.version, versionOf("a", "1"));
    assert.equal(refused.rejected.get("a")!.error, "no such module");
    assert.deepEqual([refused.lastError, refused.nonceAcked], ["no such module", ""]);
    client.answer(first!);
    const accepted = client.statusOf(extensionConfig);
    assert.deepEqual(
      [accepted.rejected.size, accepted.lastError, accepted.nonceAcked],
      [0, "", first!.nonce],
    );
  });

  test("a NACK is answered with nothing until there is something new", () => {
    const client = openStream();
    client.set({ [mcp]: { a: "1" } });
    client.subscribe(mcp);
    client.answer(client.take()[0]!, "broken");
    assert.deepEqual(client.changes(), []);
    client.set({ [mcp]: { a: "2" } });
    assert.deepEqual(client.changes(), [[mcp, { a: "2" }, []]]);
    assert.equal(client.statusOf(mcp).rejected.size, 0);
  });

  test("an ACK of what was sent before is no answer to what is on its way", () => {
    const client = openStream();
    client.set({ [mcp]: { a: "1" } });
    client.subscribe(mcp);
    client.set({ [mcp]: { a: "2" } });
    const [first, second] = client.take();
    client.answer(first!);
    assert.deepEqual([...client.statusOf(mcp).pending], ["a"]);
    client.answer(second!);
    assert.equal(client.statusOf(mcp).pending.size, 0);
    assert.equal(client.statusOf(mcp).versionAcked, client.statusOf(mcp).versionSent);
  });

  test("an answer can add and drop names", () => {
    const client = openStream();
    client.set({ [routes]: { a: "1", b: "1" } });
    client.subscribe(routes, "a");
    const [first] = client.take();
    client.request({
      typeUrl: routes,
      responseNonce: first!.nonce,
      resourceNamesSubscribe: ["b"],
      resourceNamesUnsubscribe: ["a"],
    });
    assert.deepEqual(client.changes(), [[routes, { b: "1" }, []]]);
    assert.equal(client.statusOf(routes).nonceAcked, first!.nonce);
    assert.deepEqual([...client.statusOf(routes).names!], ["b"]);
  });
});

suite("listeners that were refused", () => {
  /** A client that took the plugins of a gateway but refused one of its two listeners. */
  function openRefusing() {
    const client = openStream();
    client.set({ [extensionConfig]: { p: "1" }, [listener]: { good: "1" } });
    client.subscribe(listener);
    client.subscribe(extensionConfig, "p");
    for (const response of client.take()) client.answer(response);
    client.set({ [extensionConfig]: { p: "2" }, [listener]: { good: "1", bad: "1" } });
    const [plugins, listeners] = client.take();
    client.answer(listeners!, "no configuration of p");
    return { client, plugins: plugins! };
  }

  test("are sent again when a plugin is accepted, and those alone", () => {
    const { client, plugins } = openRefusing();
    assert.deepEqual(client.changes(), []);
    client.answer(plugins);
    const [again, ...others] = client.take();
    assert.deepEqual([again!.typeUrl, again!.changed, others], [listener, { bad: "1" }, []]);
    client.answer(again!);
    assert.equal(client.statusOf(listener).rejected.size, 0);
    client.answer(plugins);
    assert.deepEqual(client.changes(), []);
  });

  test("are not sent again when a plugin is refused, or while an answer is awaited", () => {
    const { client, plugins } = openRefusing();
    client.answer(plugins, "no such module");
    assert.deepEqual(client.changes(), []);
    client.set({ [extensionConfig]: { p: "2" }, [listener]: { good: "2", bad: "1" } });
    assert.deepEqual(client.changes(), [[listener, { good: "2" }, []]]);
    client.answer(plugins);
    assert.deepEqual(client.changes(), []);
  });

  test("are sent again when an agent says which plugins it has put back", () => {
    const { client, plugins } = openRefusing();
    client.answer(plugins, new Map([["p", "bad configuration"]]));
    assert.deepEqual(client.changes(), [[listener, { bad: "1" }, []]]);
    assert.deepEqual([...client.statusOf(extensionConfig).rejected.keys()], ["p"]);
  });

  test("that are gone meanwhile are not sent again", () => {
    const { client, plugins } = openRefusing();
    client.set({ [extensionConfig]: { p: "2" }, [listener]: { good: "1" } });
    for (const response of client.take()) client.answer(response);
    client.answer(plugins);
    assert.deepEqual(client.changes(), []);
  });
});

suite("a client that does not answer", () => {
  /** A client that has left as many responses unanswered as it may. */
  function openFull() {
    const client = openStream();
    client.set({ [mcp]: { a: "0", b: "0" } });
    client.subscribe(mcp, "a");
    for (let n = 1; n <= 1000; n++) client.set({ [mcp]: { a: String(n), b: "0" } });
    return { client, unanswered: client.take() };
  }

  test("is sent no more, and with its next answer what is newest", () => {
    const { client, unanswered } = openFull();
    assert.equal(unanswered.length, 100);
    client.set({ [mcp]: { a: "newest", b: "0" } });
    assert.deepEqual(client.changes(), []);
    client.answer(unanswered.at(-1)!);
    assert.deepEqual(client.changes(), [[mcp, { a: "newest" }, []]]);
    for (const response of unanswered) client.answer(response);
    assert.deepEqual(client.changes(), []);
  });

  test("hears then of what went, and of what it asked for meanwhile", () => {
    const { client, unanswered } = openFull();
    client.subscribe(mcp, "b", "c");
    client.request({ typeUrl: mcp, resourceNamesUnsubscribe: ["c"] });
    client.set({ [mcp]: { b: "0", c: "0" } });
    assert.deepEqual(client.changes(), []);
    client.answer(unanswered[0]!, "no such filter");
    client.answer(unanswered[1]!);
    assert.deepEqual(client.changes(), [
      [mcp, { b: "0" }, []],
      [mcp, {}, ["a"]],
    ]);
  });

  test("of one type hears of the others", () => {
    const { client } = openFull();
    client.subscribe(listener);
    client.set({ [mcp]: { a: "newest" }, [listener]: { l: "1" } });
    assert.deepEqual(client.changes(), [
      [listener, {}, []],
      [listener, { l: "1" }, []],
    ]);
  });
});

test("a NACK without a reason is a NACK", () => {
  const client = openStream();
  client.set({ [mcp]: { a: "1" } });
  client.subscribe(mcp);
  client.answer(client.take()[0]!, "");
  assert.deepEqual([...client.statusOf(mcp).rejected.keys()], ["a"]);
  assert.notEqual(client.statusOf(mcp).lastError, "");
});

suite("many clients", () => {
  test("that want all of a change get the same bytes", () => {
    const clients = [openStream(), openStream(), openStream()];
    const before = snapshotOf({ [mcp]: { a: "1" }, [extensionConfig]: { a: "1", b: "1" } });
    for (const client of clients) {
      client.onSnapshot(before);
      client.subscribe(mcp);
      client.subscribe(extensionConfig, "a");
      for (const response of client.take()) client.answer(response);
      client.buffers.length = 0;
    }
    const after = snapshotOf({ [mcp]: { a: "2" }, [extensionConfig]: { a: "2", b: "1" } });
    for (const client of clients) client.onSnapshot(after);
    const [first, ...others] = clients.map(({ buffers }) => buffers);
    assert.equal(first!.length, 2);
    for (const buffers of others) {
      assert.equal(buffers.length, 2);
      for (const [index, bytes] of buffers.entries()) assert.equal(bytes, first![index]);
    }
    for (const client of clients) {
      for (const response of client.take()) client.answer(response);
      assert.equal(client.statusOf(mcp).pending.size, 0);
    }
  });

  test("that want a part of a change get bytes of their own", () => {
    const [all, some] = [openStream(), openStream()];
    const before = snapshotOf({ [routes]: { a: "1", b: "1" } });
    const after = snapshotOf({ [routes]: { a: "2", b: "2" } });
    all.subscribe(routes, "a", "b");
    some.subscribe(routes, "b");
    for (const client of [all, some]) {
      client.onSnapshot(before);
      client.take();
      client.onSnapshot(after);
    }
    assert.deepEqual(all.changes(), [[routes, { a: "2", b: "2" }, []]]);
    assert.deepEqual(some.changes(), [[routes, { b: "2" }, []]]);
  });
});
