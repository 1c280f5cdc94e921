import assert from "node:assert/strict";
import { afterEach, beforeEach, suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { Server, ServerCredentials, type ServerDuplexStream } from "@grpc/grpc-js";
import { freePort } from "../../test/peers/ports.ts";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { DiscoveryResponseSchema } from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { type Log, silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { adsDefinition, type DiscoveryRequest, type DiscoveryResponse } from "./ads.ts";
import { followServer, type Refusals, type TypeUpdate, type XdsClientOptions } from "./client.ts";
import { listenXds } from "./listen.ts";
import { createXdsServer, type XdsServer } from "./server.ts";
import { createSnapshot, createSnapshotType, rawResource, type Snapshot } from "./snapshot.ts";

const mcp = "extensions.istio.io/v1alpha1/WasmPlugin";
const modes = ["incremental", "state-of-the-world"] as const;
const node = create(NodeSchema, { id: "discovery~1" });
const accepted: Refusals = new Map();

let ended: AbortController;
beforeEach(() => {
  ended = new AbortController();
});
afterEach(() => ended.abort());

const textOf = (value: Uint8Array) => Buffer.from(value).toString();

/** The values are `name=text`, so that a name can be read from a value. */
function snapshotOf(...texts: string[]): Snapshot {
  const resources = texts.map((text) => rawResource(text.split("=")[0]!, "t", Buffer.from(text)));
  return createSnapshot([createSnapshotType(mcp, resources)]);
}

interface RunningServer {
  readonly port: number;
  readonly server: XdsServer;
  set(...texts: string[]): void;
  stop(): void;
  /** What the one client said of the one type. */
  status(): ReturnType<XdsServer["clients"]>[number]["subscriptions"][number] | undefined;
}

async function startServer(port = 0, ...texts: string[]): Promise<RunningServer> {
  const stopped = new AbortController();
  const snapshot = createWatchable(snapshotOf(...texts));
  const server = createXdsServer({ snapshotFor: () => snapshot, log: silentLog });
  const bound = await listenXds(server, "127.0.0.1", port, AbortSignal.any([stopped.signal, ended.signal]));
  return {
    port: bound,
    server,
    set: (...next) => snapshot.set(snapshotOf(...next)),
    stop: () => stopped.abort(),
    status: () => server.clients()[0]?.subscriptions[0],
  };
}

/** Follows a server and notes everything that it hears, as `[changed texts, removed names]`, and its lines in the log. */
function follow(port: number, options: Partial<XdsClientOptions> = {}) {
  const updates: [string[], readonly string[]][] = [];
  const connected: string[] = [];
  const warnings: object[] = [];
  const log: Log = {
    ...silentLog,
    info: (_fields, message) => void connected.push(message),
    warn: (fields) => void warnings.push(fields),
  };
  const { onUpdate = () => accepted, ...others } = options;
  followServer({
    target: `127.0.0.1:${port}`,
    node,
    typeUrls: [mcp],
    mode: "incremental",
    nameOf: (value) => textOf(value).split("=")[0]!,
    onUpdate(update: TypeUpdate) {
      updates.push([update.changed.map(({ value }) => textOf(value)), update.removed]);
      return onUpdate(update);
    },
    signal: ended.signal,
    log,
    ...others,
  });
  return { updates, connected, warnings };
}

for (const mode of modes) {
  suite(`followServer, ${mode}`, () => {
    test("hears of everything, and then of what changed", async () => {
      const { port, set } = await startServer(0, "a=1", "b=1");
      const { updates, connected } = follow(port, { mode });
      await until("everything", () => updates.length === 1);
      set("a=1", "b=2", "c=1");
      await until("the change", () => updates.length === 2);
      set("b=2", "c=1");
      await until("the removal", () => updates.length === 3);
      assert.deepEqual(updates, [
        [["a=1", "b=1"], []],
        [["b=2", "c=1"], []],
        [[], ["a"]],
      ]);
      assert.deepEqual(connected, ["connected"]);
    });

    test("hears that there is nothing", async () => {
      const { port } = await startServer();
      const { updates } = follow(port, { mode });
      await until("the answer", () => updates.length === 1);
      assert.deepEqual(updates, [[[], []]]);
    });

    test("accepts what it took", async () => {
      const { port, status } = await startServer(0, "a=1");
      follow(port, { mode });
      await until("the ACK", () => Boolean(status()?.nonceAcked));
      assert.equal(status()!.versionAcked, status()!.versionSent);
      assert.equal(status()!.lastError, "");
    });

    test("keeps what it has when the server goes, and hears of what changed when it is back", async () => {
      const first = await startServer(0, "a=1", "b=1", "c=1");
      const { updates, connected, warnings } = follow(first.port, { mode });
      await until("everything", () => updates.length === 1);
      first.stop();
      await until("it notices", () => warnings.length === 1);
      assert.equal(updates.length, 1, "nothing is taken away");
      const second = await startServer(first.port, "a=1", "b=2");
      await until("what changed", () => updates.length === 2);
      assert.deepEqual(updates[1], [["b=2"], ["c"]]);
      assert.deepEqual(connected, ["connected", "connected"]);
      assert.equal(warnings.length, 1, "one line a loss");
      second.set("a=3", "b=2");
      await until("the stream goes on", () => updates.length === 3);
      assert.deepEqual(updates[2], [["a=3"], []]);
    });

    test("gives up a connection on which nothing happens, and makes another", async (t) => {
      const { port } = await startServer(0, "a=1");
      const proxy = await startTcpProxy(t, port);
      proxy.silence();
      const { updates, warnings } = follow(proxy.port, { mode, connectTimeoutMs: 200 });
      await until("it is given up", () => warnings.length === 1 && proxy.accepted >= 2);
      proxy.mend();
      await until("everything", () => updates.length === 1);
      assert.equal(warnings.length, 1, "one line a loss");
    });

    test("gives it up also when the one before was refused", async (t) => {
      const { port } = await startServer(0, "a=1");
      const proxy = await startTcpProxy(t, port);
      const { updates, warnings, connected } = follow(proxy.port, { mode, connectTimeoutMs: 500 });
      await until("everything", () => updates.length === 1);
      proxy.cut();
      const before = proxy.accepted;
      await until("others are refused", () => warnings.length === 1 && proxy.accepted > before);
      proxy.mend();
      proxy.silence();
      const refused = proxy.accepted;
      await until("two more are given up", () => proxy.accepted >= refused + 2);
      proxy.mend();
      await until("it is connected again", () => connected.length === 2);
      assert.equal(warnings.length, 1, "one line a loss");
    });

    test("waits for a server that is not there yet, with one line in the log", async () => {
      const port = await freePort();
      const { updates, connected, warnings } = follow(port, { mode });
      await until("the first failure", () => warnings.length === 1);
      await startServer(port, "a=1");
      await until("everything", () => updates.length === 1);
      assert.deepEqual([connected, warnings.length], [["connected"], 1]);
    });

    test("refuses resources with the reason of each, and hears of them again", async () => {
      const onUpdate = ({ changed }: TypeUpdate) =>
        new Map(
          changed.flatMap(({ name, value }) =>
            textOf(value).includes("bad") ? [[name, `no good ${name}`]] : [],
          ),
        );
      const first = await startServer(0, "a=1", "b=bad", "c=bad");
      const { updates } = follow(first.port, { mode, onUpdate });
      await until("the NACK", () => Boolean(first.status()?.lastError));
      assert.equal(first.status()!.lastError, "b: no good b; c: no good c");
      first.stop();
      const second = await startServer(first.port, "a=1", "b=bad");
      await until("what was refused is offered again", () => Boolean(second.status()?.lastError));
      assert.deepEqual(updates[1], [["b=bad"], ["c"]]);
      second.set("a=1", "b=2");
      await until(
        "it is mended",
        () => second.status()!.lastError === "" && second.status()!.nonceAcked !== "",
      );
      assert.deepEqual(updates.at(-1), [["b=2"], []]);
    });

    test("what it throws refuses a whole response, and stops nothing", async () => {
      let broken = true;
      const onUpdate = () => {
        if (broken) throw new Error("out of order", { cause: new Error("because") });
        return accepted;
      };
      const first = await startServer(0, "a=1", "gone=1");
      const { updates } = follow(first.port, { mode, onUpdate });
      await until("the NACK", () => Boolean(first.status()?.lastError));
      assert.equal(first.status()!.lastError, "out of order: because");
      first.stop();
      broken = false;
      const second = await startServer(first.port, "a=1");
      await until("the ACK", () => Boolean(second.status()?.nonceAcked));
      assert.deepEqual(updates.at(-1), [["a=1"], ["gone"]]);
    });

    test("says at most ten reasons", async () => {
      const names = Array.from({ length: 15 }, (_, index) => `p${index}`);
      const onUpdate = ({ changed }: TypeUpdate) => new Map(changed.map(({ name }) => [name, "no"]));
      const { port, status } = await startServer(0, ...names.map((name) => `${name}=1`));
      follow(port, { mode, onUpdate });
      await until("the NACK", () => Boolean(status()?.lastError));
      assert.match(status()!.lastError, /^p0: no; .*p9: no; and 5 more$/);
    });

    test("is gone with its signal", async () => {
      const stopped = new AbortController();
      const { port, server, set } = await startServer(0, "a=1");
      const { updates, connected } = follow(port, { mode, signal: stopped.signal });
      await until("everything", () => updates.length === 1);
      stopped.abort();
      await until("it is gone", () => server.clients().length === 0);
      set("a=2");
      assert.deepEqual([updates.length, connected], [1, ["connected"]]);
    });
  });
}

test("incremental: only what changed meanwhile is on the wire after a reconnect", async () => {
  const first = await startServer(0, "a=1", "b=1");
  const { updates } = follow(first.port);
  await until("the ACK", () => Boolean(first.status()?.nonceAcked));
  first.stop();
  const second = await startServer(first.port, "a=1", "b=1");
  await until("the answer", () => Boolean(second.status()?.nonceAcked));
  assert.deepEqual(updates[1], [[], []]);
});

/** A server whose answers the test writes. */
async function startScript() {
  const requests: DiscoveryRequest[] = [];
  let call: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse> | undefined;
  const server = new Server();
  server.addService(adsDefinition, {
    streamAggregatedResources(opened: ServerDuplexStream<DiscoveryRequest, DiscoveryResponse>) {
      call = opened;
      opened.on("data", (request: DiscoveryRequest) => requests.push(request));
      opened.on("end", () => opened.end());
      opened.on("error", () => {});
    },
    deltaAggregatedResources: () => {},
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  ended.signal.addEventListener("abort", () => server.forceShutdown());
  return {
    port,
    requests,
    /** Sends values of MCP and gives back the answer to them. */
    async send(versionInfo: string, ...texts: string[]): Promise<DiscoveryRequest> {
      const resources = texts.map((text) => ({ typeUrl: "t", value: Buffer.from(text) }));
      const fields: MessageInitShape<typeof DiscoveryResponseSchema> = { typeUrl: mcp, resources };
      call!.write(create(DiscoveryResponseSchema, { ...fields, versionInfo, nonce: `nonce ${versionInfo}` }));
      return until("the answer", () =>
        requests.find(({ responseNonce }) => responseNonce === `nonce ${versionInfo}`),
      );
    },
    write: (fields: MessageInitShape<typeof DiscoveryResponseSchema>) =>
      call!.write(create(DiscoveryResponseSchema, fields)),
  };
}

suite("on the wire, state of the world", () => {
  test("the node is in the first request of each type", async () => {
    const { port, requests } = await startScript();
    follow(port, { mode: "state-of-the-world", typeUrls: [mcp, "core/v1/Secret"] });
    await until("both requests", () => requests.length === 2);
    assert.deepEqual(
      requests.map((request) => [
        request.typeUrl,
        request.node?.id,
        request.responseNonce,
        request.versionInfo,
      ]),
      [
        [mcp, node.id, "", ""],
        ["core/v1/Secret", node.id, "", ""],
      ],
    );
  });

  test("a NACK names the version that stays in effect", async () => {
    const { port, requests, send } = await startScript();
    const onUpdate = ({ changed }: TypeUpdate) =>
      new Map(changed.flatMap(({ name, value }) => (textOf(value).endsWith("bad") ? [[name, "bad"]] : [])));
    follow(port, { mode: "state-of-the-world", onUpdate });
    await until("the subscription", () => requests.length === 1);
    const answers = [
      await send("v1", "a=bad"),
      await send("v2", "a=1"),
      await send("v3", "a=bad"),
      await send("v4", "a=2"),
    ];
    assert.deepEqual(
      answers.map(({ versionInfo, errorDetail }) => [versionInfo, errorDetail?.message, errorDetail?.code]),
      [
        ["", "a: bad", 3],
        ["v2", undefined, undefined],
        ["v2", "a: bad", 3],
        ["v4", undefined, undefined],
      ],
    );
  });

  test("a resource whose name cannot be read is refused, and nothing counts as removed", async () => {
    const { port, requests, send } = await startScript();
    const nameOf = (value: Uint8Array) => {
      if (textOf(value) === "garbage") throw new Error("premature end");
      return textOf(value).split("=")[0]!;
    };
    const { updates } = follow(port, { mode: "state-of-the-world", nameOf });
    await until("the subscription", () => requests.length === 1);
    await send("v1", "a=1", "b=1");
    const { errorDetail } = await send("v2", "garbage", "b=2");
    assert.equal(errorDetail?.message, "a resource without a readable name: premature end");
    assert.deepEqual(updates[1], [["b=2"], []]);
    await send("v3", "b=2");
    assert.deepEqual(updates[2], [[], ["a"]]);
  });

  test("types that were not asked for are accepted and not handed on", async () => {
    const { port, requests, write } = await startScript();
    const { updates } = follow(port, { mode: "state-of-the-world" });
    await until("the subscription", () => requests.length === 1);
    write({ typeUrl: "other", versionInfo: "1", nonce: "n" });
    const answer = await until("the ACK", () => requests.find(({ responseNonce }) => responseNonce === "n"));
    assert.deepEqual([answer.typeUrl, answer.errorDetail, updates], ["other", undefined, []]);
  });
});
