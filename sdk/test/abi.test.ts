import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { afterEach, before, beforeEach, describe, it } from "node:test";
import {
  createLocalOutside,
  createPluginHost,
  type GrpcCall,
  type GrpcEvents,
  type HttpCall,
  MemoryStream,
  type MemoryStreamOptions,
  type Message,
  type Plugin,
  type PluginModule,
} from "../../src/proxy-wasm/index.ts";
import { compileModule } from "./modules.ts";

describe("the whole ABI", () => {
  let module: PluginModule;
  let plugin: Plugin;
  const logs: string[] = [];
  const calls: HttpCall[] = [];
  const grpcCalls: GrpcCall[] = [];
  const sent: string[] = [];
  let waiting: (() => void)[] = [];

  before(async () => {
    const file = await compileModule("sdk/fixture/abi.ts", "build/test/abi.wasm");
    module = await createPluginHost(createLocalOutside()).compile(await readFile(file));
  });
  beforeEach(() => {
    for (const list of [logs, calls, grpcCalls, sent]) list.length = 0;
    const outside = createLocalOutside({
      log: ({ message, ofHost }) => {
        if (!ofHost) logs.push(message);
        for (const wake of waiting) wake();
      },
      hasUpstream: (name) => name !== "nobody",
      httpCall: (call) => {
        calls.push(call);
        const path = call.headers.find(([name]) => name === ":path")?.[1];
        const status = path === "/denied" ? "403" : "200";
        const trailers = [["x-trailer", "t"]] as const;
        return {
          headers: [
            [":status", status],
            ["x-a", "1"],
          ],
          body: Buffer.from("ok"),
          trailers,
        };
      },
      grpcCall: (call, events) => {
        grpcCalls.push(call);
        if (call.metadata[0]?.[1] === "/grpc-fails") events.close(14, "away");
        else events.message(Buffer.from("hello"));
        return () => {};
      },
      grpcStream: (_method, events) => answerStream(events),
    });
    const options = { vmConfiguration: "vm configuration", environment: { NAME: "value" } };
    plugin = createPluginHost(outside).start({ name: "abi", module, ...options });
  });
  afterEach(() => plugin.close());

  function answerStream(events: GrpcEvents) {
    events.initialMetadata([["x-i", "first"]]);
    return {
      send(message: Uint8Array, last: boolean) {
        sent.push(`${Buffer.from(message)} ${last}`);
        if (last) events.message(Buffer.from("hello"));
      },
      close() {
        events.trailingMetadata([["x-t", "last"]]);
        events.close(0, "");
      },
      cancel() {},
    };
  }

  function send(path: string, more: Partial<Message> = {}, options?: MemoryStreamOptions): MemoryStream {
    const stream = new MemoryStream([plugin], options);
    const headers = [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", "a"],
      [":path", path],
    ] as const;
    stream.sendRequest({ headers, ...more });
    return stream;
  }

  /** Sends a request and waits until it is through, or answered. */
  async function pass(path: string): Promise<MemoryStream> {
    const stream = send(path);
    await Promise.race([stream.requestEnded, stream.ended]);
    stream.end();
    return stream;
  }

  async function logged(text: string): Promise<void> {
    while (!logs.some((line) => line.includes(text))) {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    }
    waiting = [];
  }

  it("starts with the VM's configuration and environment, and costs nothing where a level is off", () => {
    assert.deepEqual(logs.slice(0, 3), ["vm vm configuration", "environment value", "logged false"]);
  });

  it("brings the answer to an HTTP call to the stream that made it", async () => {
    const stream = await pass("/http");
    assert.ok(logs.includes("answer false 200 ok t"), logs.join("\n"));
    assert.equal(stream.request?.headers.find(([name]) => name === "x-user")?.[1], "2");
    const call = calls.find(({ body }) => body.length > 0)!;
    assert.deepEqual(
      [call.upstream, Buffer.from(call.body).toString(), call.trailers, call.timeoutMs],
      ["auth", "body", [["x-sent", "1"]], 1000],
    );
  });

  it("answers in place of the upstream after a call, and says at once that an upstream is unknown", async () => {
    const stream = await pass("/denied");
    assert.equal(stream.details, "caller");
    assert.equal(stream.response?.body.toString(), "denied");
    await pass("/unknown");
    assert.ok(logs.includes("unknown 2"), logs.join("\n"));
  });

  it("drops the answer to a stream that is over", async () => {
    const stream = send("/http");
    stream.end();
    await logged("plugin's answer");
    await pass("/http");
    assert.equal(logs.filter((line) => line.startsWith("answer")).length, 1);
  });

  it("makes gRPC calls and streams", async () => {
    await pass("/grpc");
    await pass("/grpc-fails");
    await pass("/grpc-stream");
    const lines = logs.filter((line) => /^(message|closed|sent|initial|trailing)/.test(line));
    assert.deepEqual(lines, [
      "message hello",
      "closed 14 away",
      "sent true true",
      "initial first",
      "message hello",
      "trailing last",
      "closed 0 ",
    ]);
    const { upstream, service, method, message } = grpcCalls[0]!;
    assert.deepEqual(
      [Buffer.from(upstream).toString(), service, method, Buffer.from(message).toString()],
      ["greeter", "hello.Greeter", "SayHello", "hi"],
    );
    assert.deepEqual(sent, ["one false", "two true"]);
  });

  it("ticks, calls from the plugin itself, and lets a stream go on from there", async () => {
    await pass("/tick");
    await logged("plugin's answer 200");
    assert.ok(logs.includes("entered true false"), logs.join("\n"));
  });

  it("shares data with versions, and events through a queue", async () => {
    await pass("/shared");
    assert.ok(logs.includes("nothing shared"));
    assert.ok(logs.includes("first true true second"), logs.join("\n"));
    assert.ok(logs.includes("queued true true"));
    await logged("dequeued event");
  });

  it("counts, measures and sets", async () => {
    await pass("/metrics");
    assert.ok(logs.includes("3 3"), logs.join("\n"));
    await pass("/property");
    assert.ok(logs.includes("value true"), logs.join("\n"));
  });

  it("calls the proxy's functions and is called", async () => {
    await pass("/foreign");
    assert.ok(logs.includes("true true"), logs.join("\n"));
    plugin.callForeignFunction(7, Buffer.from("argument"));
    assert.ok(logs.includes("called 7 argument"), logs.join("\n"));
  });

  it("reads bodies whole and changes trailers of both sides", () => {
    const stream = send("/", { body: ["te", "xt"], trailers: [["x", "1"]] });
    stream.sendResponse({ headers: [[":status", "200"]], trailers: [["x-end", "1"]] });
    stream.end();
    assert.ok(stream.request?.trailers?.some(([name]) => name === "x-last"));
    assert.deepEqual(stream.response?.trailers, [
      ["x-end", "1"],
      ["x-end", "2"],
    ]);
    send("/", { body: ["te", "xt"] }).end();
    assert.ok(logs.includes("body text ex"), logs.join("\n"));
  });

  it("closes a stream, and finishes by itself", () => {
    const stream = send("/close");
    assert.ok(stream.isReset);
    stream.end();
    plugin.close();
    assert.ok(logs.includes("finishing"));
  });
});
