import assert from "node:assert/strict";
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, beforeEach, suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import { until } from "../../test/peers/until.ts";
import {
  DeltaDiscoveryRequestSchema,
  DiscoveryRequestSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { silentLog } from "../log.ts";
import { SystemError } from "../system-error.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import type { DeltaDiscoveryResponse, DiscoveryResponse } from "./ads.ts";
import { type AdsChannel, openAdsChannel } from "./client.ts";
import { listenXds } from "./listen.ts";
import { addServerMetrics } from "./metrics.ts";
import { createXdsServer, type XdsServer } from "./server.ts";
import { createSnapshot, createSnapshotType, rawResource, type Snapshot } from "./snapshot.ts";
import { typeUrls } from "./type-urls.ts";

const mcp = "extensions.istio.io/v1alpha1/WasmPlugin";
const node = { id: "gateway~1" };

let ended: AbortController;
let snapshot: Watchable<Snapshot>;
let asked: { node: string; peer: string }[];
let server: XdsServer;
let port: number;
let channel: AdsChannel;

beforeEach(async () => {
  ended = new AbortController();
  snapshot = createWatchable<Snapshot>();
  asked = [];
  server = createXdsServer({
    snapshotFor({ id }, { peer }) {
      asked.push({ node: id, peer });
      return snapshot;
    },
    log: silentLog,
  });
  port = await listenXds(server, "127.0.0.1", 0, ended.signal);
  channel = openAdsChannel(`127.0.0.1:${port}`);
});
afterEach(() => {
  channel.close();
  ended.abort();
});

function set(texts: Readonly<Record<string, string>>): void {
  const resources = Object.entries(texts).map(([name, text]) => rawResource(name, "t", Buffer.from(text)));
  snapshot.set(createSnapshot([createSnapshotType(mcp, resources, snapshot.value?.get(mcp))]));
}

/** An incremental stream. Nothing is read before `read`. */
function openIncremental() {
  const stream = channel.deltaAggregatedResources();
  const received: DeltaDiscoveryResponse[] = [];
  const errors: { code: number; details: string }[] = [];
  stream.on("error", (error) => errors.push(error as unknown as (typeof errors)[number]));
  return {
    stream,
    received,
    errors,
    read: () => stream.on("data", (response: DeltaDiscoveryResponse) => received.push(response)),
    request: (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
      stream.write(create(DeltaDiscoveryRequestSchema, fields)),
    texts: () =>
      received.flatMap(({ resources }) =>
        resources.map(({ name, resource }) => `${name}=${Buffer.from(resource!.value)}`),
      ),
  };
}

suite("createXdsServer over gRPC", () => {
  test("answers requests that came before the first snapshot", async () => {
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    await until("the request is there", () => server.clients()[0]?.subscriptions[0]);
    assert.deepEqual(client.received, []);
    set({ a: "1" });
    await until("the answer", () => client.received.length === 1);
    assert.deepEqual(client.texts(), ["a=1"]);
  });

  test("serves both forms of the protocol from one snapshot", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    const worlds: DiscoveryResponse[] = [];
    const stream = channel.streamAggregatedResources();
    stream.on("error", () => {});
    stream.on("data", (response: DiscoveryResponse) => worlds.push(response));
    stream.write(create(DiscoveryRequestSchema, { node, typeUrl: mcp }));
    await until("both answers", () => worlds.length === 1 && client.received.length === 1);
    set({ a: "1", b: "2" });
    await until("both changes", () => worlds.length === 2 && client.received.length === 2);
    assert.deepEqual(client.texts(), ["a=1", "b=2"]);
    assert.deepEqual(
      worlds.map(({ resources }) => resources.map(({ value }) => Buffer.from(value).toString())),
      [["1"], ["1", "2"]],
    );
    assert.deepEqual(
      server
        .clients()
        .map(({ incremental }) => incremental)
        .sort(),
      [false, true],
    );
    stream.cancel();
  });

  test("asks for the snapshot once a stream, with the first request's node and the address", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    client.request({ node: { id: "another" }, typeUrl: "core/v1/Secret" });
    await until("both answers", () => client.received.length === 2);
    assert.equal(asked.length, 1);
    assert.equal(asked[0]!.node, node.id);
    assert.match(asked[0]!.peer, /^127\.0\.0\.1:\d+$/);
  });

  test("refuses a first request without a node, and what was sent with it", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ typeUrl: mcp });
    client.request({ node, typeUrl: mcp });
    await until("the refusal", () => client.errors.length === 1);
    const [{ code, details }] = client.errors as [(typeof client.errors)[number]];
    assert.equal(code, status.INVALID_ARGUMENT);
    assert.match(details, /names no node/);
    assert.deepEqual([client.received, asked, server.clients()], [[], [], []]);
  });

  test("a node without an id is none", async () => {
    const client = openIncremental();
    client.read();
    client.request({ node: { cluster: "c" }, typeUrl: mcp });
    await until("the refusal", () => client.errors[0]?.code === status.INVALID_ARGUMENT);
  });

  test("lists its clients while they are there", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    await until("the answer", () => client.received.length === 1);
    client.request({ typeUrl: mcp, responseNonce: client.received[0]!.nonce });
    const { nonce } = client.received[0]!;
    await until("the ACK", () => server.clients()[0]!.subscriptions[0]!.nonceAcked === nonce);
    const [connected] = server.clients();
    assert.equal(connected!.node.id, node.id);
    assert.equal(connected!.incremental, true);
    assert.ok(connected!.connectedAt.getTime() <= Date.now());
    client.stream.cancel();
    await until("it is gone", () => server.clients().length === 0);
  });

  test("a client that ends its side is gone, and its stream ends well", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    await until("the answer", () => client.received.length === 1);
    const closed = once(client.stream, "status");
    client.stream.end();
    const [{ code }] = await closed;
    assert.equal(code, status.OK);
    assert.deepEqual(server.clients(), []);
  });

  test("counts clients and refused resources", async () => {
    const registry = new Registry();
    addServerMetrics(registry, server);
    set({ a: "1", b: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    await until("the answer", () => client.received.length === 1);
    const responseNonce = client.received[0]!.nonce;
    client.request({ typeUrl: mcp, responseNonce, errorDetail: { code: 3, message: "broken" } });
    await until("the NACK", () => server.clients()[0]!.subscriptions[0]!.rejected.size === 2);
    const text = await registry.metrics();
    assert.match(text, /^pilot_xds 1$/m);
    assert.match(text, new RegExp(`^pilot_xds_rejected_resources\\{type="${mcp}"\\} 2$`, "m"));
    client.request({ typeUrl: mcp, responseNonce });
    await until("the ACK", () => server.clients()[0]!.subscriptions[0]!.rejected.size === 0);
    assert.doesNotMatch(await registry.metrics(), /rejected_resources\{/);
  });
});

suite("a slow reader", () => {
  const versions = 40;
  const big = (index: number) => `${index}:${"x".repeat(200_000)}`;
  const indexes = (texts: readonly string[]) => texts.map((text) => Number(/=(\d+):/.exec(text)![1]));

  test("gets the latest snapshot, and not those that it overtook", async () => {
    const client = openIncremental();
    client.request({ node, typeUrl: mcp });
    await until("the request is there", () => server.clients()[0]?.subscriptions[0]);
    for (let index = 0; index < versions; index++) set({ a: big(index) });
    const fast = openIncremental();
    fast.read();
    fast.request({ node, typeUrl: mcp });
    await until("the fast reader has it", () => fast.received.length === 1);
    assert.deepEqual(indexes(fast.texts()), [versions - 1]);
    client.read();
    await until("the slow reader has the latest", () => indexes(client.texts()).at(-1) === versions - 1);
    // The first was on its way before anybody could know that it would take so long.
    assert.deepEqual(indexes(client.texts()), [0, versions - 1]);
  });

  test("that is gone takes nothing with it", async () => {
    const client = openIncremental();
    client.request({ node, typeUrl: mcp });
    await until("the request is there", () => server.clients()[0]?.subscriptions[0]);
    for (let index = 0; index < 3; index++) set({ a: big(index) });
    client.stream.cancel();
    await until("it is gone", () => server.clients().length === 0);
    set({ a: "after" });
    const next = openIncremental();
    next.read();
    next.request({ node, typeUrl: mcp });
    await until("the next one is served", () => next.texts().includes("a=after"));
  });

  test("gets every part of a large answer in the end", async () => {
    const names = Array.from({ length: 30 }, (_, index) => `p${index}`);
    const typeUrl = typeUrls.routes;
    const resources = names.map((name) => rawResource(name, "t", Buffer.alloc(50_000, name)));
    snapshot.set(createSnapshot([createSnapshotType(typeUrl, resources)]));
    const client = openIncremental();
    client.request({ node, typeUrl, resourceNamesSubscribe: names });
    await until("the request is there", () => server.clients()[0]?.subscriptions[0]);
    const changed = [
      rawResource("p7", "t", Buffer.from("new")),
      ...resources.filter(({ name }) => name !== "p7"),
    ];
    snapshot.set(createSnapshot([createSnapshotType(typeUrl, changed)]));
    client.read();
    await until("all of it", () => client.texts().at(-1) === "p7=new");
    assert.deepEqual(
      client.received.flatMap((response) => response.resources.map(({ name }) => name)),
      [...names, "p7"],
    );
  });
});

suite("listenXds", () => {
  test("a port that is taken is a SystemError that names it", async () => {
    await assert.rejects(
      listenXds(server, "127.0.0.1", port, ended.signal),
      (error: unknown) =>
        error instanceof SystemError &&
        error.code === "network" &&
        error.message.startsWith(`cannot listen on 127.0.0.1:${port}: `),
    );
  });

  test("listens on addresses of IPv6", async () => {
    const bound = await listenXds(server, "::1", 0, ended.signal);
    const socket = connect(bound, "::1");
    await once(socket, "connect");
    socket.destroy();
  });

  test("ends its streams with the signal", async () => {
    set({ a: "1" });
    const client = openIncremental();
    client.read();
    client.request({ node, typeUrl: mcp });
    await until("the answer", () => client.received.length === 1);
    ended.abort();
    await until("the end", () => client.errors.length === 1);
    await until("nobody is left", () => server.clients().length === 0);
  });
});
