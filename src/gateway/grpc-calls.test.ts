import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import {
  Metadata,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  type ServerUnaryCall,
  type sendUnaryData,
  status,
} from "@grpc/grpc-js";
import { cluster } from "../../test/peers/gateway-config.ts";
import { GrpcServiceSchema } from "../gen/envoy/config/core/v3/grpc_service_pb.ts";
import { silentLog } from "../log.ts";
import { createStores, type GrpcEvents, LogLevel } from "../proxy-wasm/index.ts";
import { createActiveClusters } from "./active-clusters.ts";
import { createGatewayOutside } from "./gateway-outside.ts";

const bytes = (value: Buffer) => value;
const method = (path: string, isStream: boolean) => ({
  path,
  requestStream: isStream,
  responseStream: isStream,
  requestSerialize: bytes,
  requestDeserialize: bytes,
  responseSerialize: bytes,
  responseDeserialize: bytes,
});
const service = { unary: method("/test.Echo/Unary", false), stream: method("/test.Echo/Stream", true) };

/** A gRPC server that gives back what it gets, and the clusters that lead to it. */
async function startEcho(context: TestContext) {
  const server = new Server();
  server.addService(service, {
    unary(call: ServerUnaryCall<Buffer, Buffer>, done: sendUnaryData<Buffer>) {
      const text = call.request.toString();
      if (text === "fail") return done({ code: status.PERMISSION_DENIED, details: "not yöu" });
      const trailers = new Metadata();
      trailers.set("x-t", String(call.metadata.get("x-m")[0]));
      done(null, Buffer.from(`${text} back`), trailers);
    },
    stream(call: ServerDuplexStream<Buffer, Buffer>) {
      call.on("data", (message: Buffer) => call.write(Buffer.concat([message, Buffer.from("!")])));
      call.on("end", () => call.end());
    },
  });
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  const ended = new AbortController();
  const clusters = createActiveClusters();
  clusters.apply(new Map([["echo", cluster("echo", [port], { protocol: "http2" })]]));
  context.after(() => {
    ended.abort();
    clusters.close();
    server.forceShutdown();
  });
  return createGatewayOutside({
    clusters,
    stores: createStores(),
    log: silentLog,
    logLevel: () => LogLevel.Info,
    signal: ended.signal,
  });
}

/** Notes events, and resolves with all of them at the end. */
function noteEvents() {
  const noted: string[] = [];
  let finish = (_: readonly string[]) => {};
  const all = new Promise<readonly string[]>((resolve) => {
    finish = resolve;
  });
  const events: GrpcEvents = {
    initialMetadata: () => noted.push("headers"),
    message: (message) => noted.push(Buffer.from(message).toString()),
    trailingMetadata: (lines) => noted.push(`trailers ${lines.find(([name]) => name === "x-t")?.[1] ?? ""}`),
    close(code, text) {
      noted.push(`${code} ${text}`);
      finish(noted);
    },
  };
  return { events, all };
}

const name = (text: string) => Buffer.from(text);
const unary = { service: "test.Echo", method: "Unary", metadata: [["x-m", "1"]] as const, timeoutMs: 5000 };

test("a plugin's gRPC call reaches a server, by the cluster's name or by a message that has it", async (t) => {
  const outside = await startEcho(t);
  const target = { case: "envoyGrpc", value: { clusterName: "echo" } } as const;
  const message = toBinary(GrpcServiceSchema, create(GrpcServiceSchema, { targetSpecifier: target }));
  for (const upstream of [name("echo"), message]) {
    const { events, all } = noteEvents();
    outside.grpcCall({ ...unary, upstream, message: Buffer.from("hello") }, events);
    assert.deepEqual(await all, ["headers", "hello back", "trailers 1", "0 OK{via_upstream}"]);
  }
  const { events } = noteEvents();
  const call = { ...unary, upstream: name("nobody"), message: new Uint8Array(0) };
  assert.equal(outside.grpcCall(call, events), "unknown-upstream");
});

test("a call that fails says why", async (t) => {
  const outside = await startEcho(t);
  const failed = noteEvents();
  outside.grpcCall({ ...unary, upstream: name("echo"), message: Buffer.from("fail") }, failed.events);
  assert.equal((await failed.all).at(-1), "7 not yöu{via_upstream}");
  const unknown = noteEvents();
  const call = { ...unary, method: "None", upstream: name("echo"), message: new Uint8Array(0) };
  outside.grpcCall(call, unknown.events);
  assert.match((await unknown.all).at(-1) ?? "", /^12 /);
});

test("a stream carries messages both ways, of any size", async (t) => {
  const outside = await startEcho(t);
  const { events, all } = noteEvents();
  const large = "x".repeat(300_000);
  const opened = outside.grpcStream(
    { upstream: name("echo"), service: "test.Echo", method: "Stream", metadata: [] },
    events,
  );
  assert.ok(typeof opened !== "string");
  opened.send(Buffer.from("one"), false);
  opened.send(Buffer.from(large), false);
  opened.close();
  const [headers, first, second, ...rest] = await all;
  assert.deepEqual([headers, first, ...rest], ["headers", "one!", "trailers ", "0 OK{via_upstream}"]);
  assert.ok(second === `${large}!`, "the large message came back as another one");
});
