import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, fromBinary, type MessageInitShape } from "@bufbuild/protobuf";
import {
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { ownAgent } from "./own-agent.ts";
import { resourceStates } from "./resource-states.ts";
import { createSnapshot, createSnapshotType, rawResource, type Snapshot } from "./snapshot.ts";
import { createStateOfTheWorldStream } from "./state-of-the-world-stream.ts";
import { pushOrder, typeUrls } from "./type-urls.ts";

const { listener, cluster, endpoints, routes, extensionConfig, secret } = typeUrls;
const mcp = "extensions.istio.io/v1alpha1/WasmPlugin";
/** What an istiod sends as the nonce of its first request. */
const goTime = "2026-11-22 10:00:00.123456789 +0000 UTC m=+1.234567890";

type Contents = Readonly<Record<string, readonly string[]>>;

interface Received {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly version: string;
  readonly texts: readonly string[];
}

/** A client's end of a stream, without a wire between. The name of a resource is its text up to the "=". */
function openStream() {
  let received: Received[] = [];
  const stream = createStateOfTheWorldStream((encode) => {
    const { typeUrl, nonce, versionInfo, resources } = fromBinary(DiscoveryResponseSchema, encode());
    const texts = resources.map(({ value }) => Buffer.from(value).toString());
    received.push({ typeUrl, nonce, version: versionInfo, texts });
  });
  let snapshot: Snapshot | undefined;
  return {
    statusOf: (typeUrl: string) => stream.status().find((each) => each.typeUrl === typeUrl),
    set(contents: Contents): void {
      const types = Object.entries(contents).map(([typeUrl, texts]) =>
        createSnapshotType(
          typeUrl,
          texts.map((text) => rawResource(text.split("=")[0]!, "t", Buffer.from(text))),
          snapshot?.get(typeUrl),
        ),
      );
      snapshot = createSnapshot(types);
      stream.onSnapshot(snapshot);
    },
    request(fields: MessageInitShape<typeof DiscoveryRequestSchema>): void {
      stream.onRequest(create(DiscoveryRequestSchema, fields));
    },
    subscribe(typeUrl: string, ...resourceNames: string[]): void {
      stream.onRequest(create(DiscoveryRequestSchema, { typeUrl, resourceNames }));
    },
    /** Answers a response, with the names that are wanted from now on. */
    ack({ typeUrl, nonce: responseNonce, version: versionInfo }: Received, ...resourceNames: string[]): void {
      stream.onRequest(
        create(DiscoveryRequestSchema, { typeUrl, responseNonce, versionInfo, resourceNames }),
      );
    },
    nack({ typeUrl, nonce: responseNonce }: Received, message: string, ...resourceNames: string[]): void {
      const errorDetail = { code: 3, message };
      stream.onRequest(
        create(DiscoveryRequestSchema, { typeUrl, responseNonce, errorDetail, resourceNames }),
      );
    },
    /** What came since the last time. */
    take(): Received[] {
      const taken = received;
      received = [];
      return taken;
    },
    /** The same as `[type, texts]`. */
    worlds() {
      return this.take().map(({ typeUrl, texts }) => [typeUrl, texts]);
    },
    takeOne(): Received {
      const [only, ...others] = this.take();
      assert.ok(only);
      assert.equal(others.length, 0);
      return only;
    },
  };
}

suite("a wildcard", () => {
  test("gets everything with each change, and nothing without one", () => {
    const client = openStream();
    client.set({ [mcp]: ["a=1", "b=1"] });
    client.subscribe(mcp);
    assert.deepEqual(client.worlds(), [[mcp, ["a=1", "b=1"]]]);
    client.set({ [mcp]: ["a=1", "b=2"], [listener]: ["l=1"] });
    assert.deepEqual(client.worlds(), [[mcp, ["a=1", "b=2"]]]);
    client.set({ [mcp]: ["a=1", "b=2"] });
    assert.deepEqual(client.worlds(), []);
    client.set({ [mcp]: ["b=2"] });
    assert.deepEqual(client.worlds(), [[mcp, ["b=2"]]]);
    client.set({ [mcp]: [] });
    assert.deepEqual(client.worlds(), [[mcp, []]]);
  });

  test("may come with any nonce in its first request", () => {
    const client = openStream();
    client.set({ [mcp]: ["a=1"] });
    client.request({ typeUrl: mcp, responseNonce: goTime });
    const first = client.takeOne();
    assert.deepEqual(first.texts, ["a=1"]);
    client.ack(first);
    assert.deepEqual(client.take(), []);
    assert.equal(client.statusOf(mcp)!.nonceAcked, first.nonce);
  });

  test("is answered also where there is nothing, and for types that nobody knows", () => {
    const client = openStream();
    client.set({ [mcp]: [] });
    for (const typeUrl of [mcp, "core/v1alpha1/MeshConfig"]) {
      client.request({ typeUrl, responseNonce: goTime });
    }
    assert.deepEqual(client.worlds(), [
      [mcp, []],
      ["core/v1alpha1/MeshConfig", []],
    ]);
  });

  test("waits for the first snapshot, and is answered once", () => {
    const client = openStream();
    client.subscribe(mcp);
    client.subscribe("core/v1alpha1/MeshConfig");
    assert.deepEqual(client.take(), []);
    client.set({ [mcp]: ["a=1"] });
    assert.deepEqual(client.worlds(), [
      [mcp, ["a=1"]],
      ["core/v1alpha1/MeshConfig", []],
    ]);
  });

  test("that begins again without a nonce gets everything again", () => {
    const client = openStream();
    client.set({ [mcp]: ["a=1"] });
    client.subscribe(mcp);
    client.subscribe(mcp);
    assert.deepEqual(client.worlds(), [
      [mcp, ["a=1"]],
      [mcp, ["a=1"]],
    ]);
  });

  test("the version says whether the content is the same", () => {
    const client = openStream();
    client.subscribe(mcp);
    const versions = ["1", "2", "1"].map((text) => {
      client.set({ [mcp]: [`a=${text}`] });
      return client.takeOne().version;
    });
    assert.equal(versions[0], versions[2]);
    assert.notEqual(versions[0], versions[1]);
  });
});

suite("names", () => {
  test("get what they name, whole with each change of it", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1", "b=1", "c=1"] });
    client.subscribe(routes, "a", "b");
    assert.deepEqual(client.worlds(), [[routes, ["a=1", "b=1"]]]);
    client.set({ [routes]: ["a=1", "b=1", "c=2"] });
    assert.deepEqual(client.worlds(), []);
    client.set({ [routes]: ["a=1", "b=2", "c=2"] });
    assert.deepEqual(client.worlds(), [[routes, ["a=1", "b=2"]]]);
  });

  test("that are added get everything that is named", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1", "b=1", "c=1"] });
    client.subscribe(extensionConfig, "a");
    client.ack(client.takeOne(), "a", "b");
    assert.deepEqual(client.worlds(), [[extensionConfig, ["a=1", "b=1"]]]);
  });

  test("that are dropped get no answer, and nothing from then on", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1", "b=1"] });
    client.subscribe(routes, "a", "b");
    client.ack(client.takeOne(), "b");
    client.set({ [routes]: ["a=2", "b=1"] });
    assert.deepEqual(client.worlds(), []);
    client.set({ [routes]: ["a=2", "b=2"] });
    assert.deepEqual(client.worlds(), [[routes, ["b=2"]]]);
  });

  test("none at all is the end of the subscription", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1"] });
    client.subscribe(routes, "a");
    const first = client.takeOne();
    client.ack(first);
    assert.equal(client.statusOf(routes), undefined);
    client.set({ [routes]: ["a=2"] });
    assert.deepEqual(client.worlds(), []);
    client.request({ typeUrl: routes, responseNonce: first.nonce, resourceNames: ["a"] });
    assert.deepEqual(client.worlds(), [[routes, ["a=2"]]]);
  });

  test("that name nothing yet get no answer until there is something", () => {
    const client = openStream();
    client.set({ [routes]: [] });
    client.subscribe(routes, "a");
    assert.deepEqual(client.worlds(), []);
    client.request({ typeUrl: routes, responseNonce: goTime, resourceNames: ["a", "b"] });
    client.set({ [routes]: ["b=1"] });
    assert.deepEqual(client.worlds(), [[routes, ["b=1"]]]);
  });

  test("of a type that can be a wildcard get only what they name", () => {
    const client = openStream();
    client.set({ [cluster]: ["a=1", "b=1"] });
    client.subscribe(cluster, "b");
    assert.deepEqual(client.worlds(), [[cluster, ["b=1"]]]);
  });

  test("lose one that is gone", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1", "b=1"] });
    client.subscribe(routes, "a", "b");
    client.take();
    client.set({ [routes]: ["b=1"] });
    assert.deepEqual(client.worlds(), [[routes, ["b=1"]]]);
  });
});

suite("ECDS resources that are gone", () => {
  test("are no reason for a response, and stay in those that have one while they are asked for", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1", "b=1"] });
    client.subscribe(extensionConfig, "a", "b");
    client.ack(client.takeOne(), "a", "b");
    client.set({ [extensionConfig]: ["b=1"] });
    assert.deepEqual(client.worlds(), []);
    client.set({ [extensionConfig]: ["b=2"] });
    const both = client.takeOne();
    assert.deepEqual(both.texts, ["b=2", "a=1"]);
    client.ack(both, "b");
    client.set({ [extensionConfig]: ["b=3"] });
    assert.deepEqual(client.takeOne().texts, ["b=3"]);
  });

  test("are themselves again when they come back", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1", "b=1"] });
    client.subscribe(extensionConfig, "a", "b");
    client.ack(client.takeOne(), "a", "b");
    client.set({ [extensionConfig]: ["b=2"] });
    client.ack(client.takeOne(), "a", "b");
    client.set({ [extensionConfig]: ["a=2", "b=2"] });
    assert.deepEqual(client.takeOne().texts, ["a=2", "b=2"]);
  });
});

suite("two ECDS responses could change places on their way to Envoy", () => {
  test("so that there is another one, with what there is then, when the first is answered", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1", "b=1"] });
    client.subscribe(extensionConfig, "a");
    const first = client.takeOne();
    // Envoy names one more with each filter that it meets, before it has an answer.
    client.subscribe(extensionConfig, "a", "b");
    client.set({ [extensionConfig]: ["a=2", "b=1"] });
    client.set({ [extensionConfig]: ["a=3", "b=1"] });
    assert.deepEqual(client.worlds(), []);
    const states = () => resourceStates(client.statusOf(extensionConfig)!).map(({ state }) => state);
    assert.deepEqual(states(), ["PENDING", "PENDING"]);
    client.ack(first, "a", "b");
    const second = client.takeOne();
    assert.deepEqual(second.texts, ["a=3", "b=1"]);
    client.set({ [extensionConfig]: ["a=4", "b=1"] });
    assert.deepEqual(client.worlds(), []);
    client.nack(second, "no such image");
    const third = client.takeOne();
    assert.deepEqual(third.texts, ["a=4", "b=1"]);
    client.ack(third, "a", "b");
    assert.deepEqual(client.worlds(), []);
    assert.deepEqual(states(), ["SYNCED", "SYNCED"]);
  });

  test("but not where an agent of ours keeps their order", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1"] });
    const node = { id: "gateway", metadata: { ...ownAgent } };
    client.request({ node, typeUrl: extensionConfig, resourceNames: ["a"] });
    client.set({ [extensionConfig]: ["a=2"] });
    assert.deepEqual(client.worlds(), [
      [extensionConfig, ["a=1"]],
      [extensionConfig, ["a=2"]],
    ]);
  });
});

suite("answers", () => {
  test("to a response that another one has overtaken are ignored, with their names", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1", "b=1"] });
    client.subscribe(routes, "a");
    const first = client.takeOne();
    client.set({ [routes]: ["a=2", "b=1"] });
    const second = client.takeOne();
    client.ack(first, "a", "b");
    assert.deepEqual(client.take(), []);
    assert.deepEqual([...client.statusOf(routes)!.names!], ["a"]);
    assert.deepEqual([...client.statusOf(routes)!.pending], ["a"]);
    client.ack(second, "a");
    const { pending, nonceAcked, versionAcked, versionSent } = client.statusOf(routes)!;
    assert.deepEqual([pending.size, nonceAcked, versionAcked], [0, second.nonce, versionSent]);
  });

  test("a stale NACK refuses nothing of the response that is on its way", () => {
    const client = openStream();
    client.set({ [mcp]: ["a=1"] });
    client.subscribe(mcp);
    const first = client.takeOne();
    client.set({ [mcp]: ["a=2"] });
    client.nack(first, "broken");
    assert.equal(client.statusOf(mcp)!.rejected.size, 0);
    client.ack(client.takeOne());
    assert.equal(client.statusOf(mcp)!.lastError, "");
  });

  test("a NACK without names does not end the subscription", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1"] });
    client.subscribe(extensionConfig, "a");
    const first = client.takeOne();
    client.nack(first, "no such module");
    const status = client.statusOf(extensionConfig)!;
    assert.deepEqual([...status.rejected.keys()], ["a"]);
    assert.deepEqual([status.lastError, status.nonceAcked], ["no such module", ""]);
    assert.deepEqual(client.take(), [], "a NACK is not answered");
    client.set({ [extensionConfig]: ["a=2"] });
    assert.deepEqual(client.worlds(), [[extensionConfig, ["a=2"]]]);
  });

  test("a NACK changes no names", () => {
    const client = openStream();
    client.set({ [routes]: ["a=1", "b=1"] });
    client.subscribe(routes, "a");
    client.nack(client.takeOne(), "broken", "a", "b");
    assert.deepEqual(client.take(), []);
    assert.deepEqual([...client.statusOf(routes)!.names!], ["a"]);
  });

  test("an ACK of the nonce that was refused takes the refusal back", () => {
    const client = openStream();
    client.set({ [extensionConfig]: ["a=1"] });
    client.subscribe(extensionConfig, "a");
    const first = client.takeOne();
    client.nack(first, "the pull failed", "a");
    client.ack(first, "a");
    const { rejected, lastError, nonceAcked } = client.statusOf(extensionConfig)!;
    assert.deepEqual([rejected.size, lastError, nonceAcked], [0, "", first.nonce]);
  });
});

test("types come in push order, whatever the order of the subscriptions", () => {
  const client = openStream();
  for (const typeUrl of [mcp, ...[...pushOrder].reverse()]) client.subscribe(typeUrl, "x");
  const order = [cluster, endpoints, secret, extensionConfig, listener, routes, mcp];
  for (const text of ["x=1", "x=2"]) {
    client.set(Object.fromEntries(order.map((typeUrl) => [typeUrl, [text]])));
    const worlds = client.take();
    assert.deepEqual(
      worlds.map(({ typeUrl, texts }) => [typeUrl, texts]),
      order.map((typeUrl) => [typeUrl, [text]]),
    );
    for (const world of worlds) client.ack(world, "x");
  }
});
