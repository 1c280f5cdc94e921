import assert from "node:assert/strict";
import { test } from "node:test";
import type { Argument, GuestOptions, Step } from "../../../test/peers/guest-module.ts";
import { createGuestHost } from "../../../test/peers/start-guest.ts";
import { until } from "../../../test/peers/until.ts";
import {
  createStores,
  type GrpcEvents,
  type HttpCall,
  type LocalOutsideOptions,
  MemoryStream,
  type MemoryStreamOptions,
  type Message,
  type PluginOptions,
} from "../index.ts";

const request: Message = {
  headers: [
    [":path", "/a?b"],
    [":method", "GET"],
    [":authority", "foo"],
    [":scheme", "http"],
    ["x-dup", "1"],
    ["x-dup", "2"],
  ],
};
const response: Message = {
  headers: [
    [":status", "200"],
    ["x-up", "1"],
  ],
};
const show = (name: string, ...parameters: Argument[]): Step => ({ show: `proxy_${name}`, with: parameters });
const call = (name: string, ...parameters: Argument[]): Step => ({ call: `proxy_${name}`, with: parameters });
const value = ["OUT", "OUT_SIZE"] as const;

interface RunOptions extends MemoryStreamOptions {
  readonly request?: Message;
  readonly response?: Message;
  readonly outside?: LocalOutsideOptions;
  readonly plugin?: Partial<PluginOptions>;
  /** Ends when the guest has logged this. */
  readonly until?: string;
}

/** Runs a stream through a guest; statuses are logged as letters from A for OK. */
async function run(guest: GuestOptions, options: RunOptions = {}) {
  const host = createGuestHost(options.outside);
  const plugin = await host.start(guest, options.plugin);
  const stream = new MemoryStream([plugin], options);
  stream.sendRequest(options.request ?? request);
  if (options.until) await until(options.until, () => host.logs().includes(options.until!));
  if (stream.request?.complete) stream.sendResponse(options.response ?? response);
  stream.end();
  return { stream, logs: host.logs(), joined: host.logs().join(" ") };
}

const inRequest = (...steps: Step[]): GuestOptions => ({ callbacks: { on_request_headers: steps } });

test("headers are read by their first value, whatever the case of the name", async () => {
  const names = ["x-dup", "X-Dup", ":path", "x-none"];
  const { joined } = await run(
    inRequest(...names.map((name) => show("get_header_map_value", 0, name, ...value))),
  );
  assert.equal(joined, "A 1 A 1 A /a?b B");
});

test("a header that is missing is an empty one in ABI 0.1.0", async () => {
  const guest = inRequest(
    show("get_header_map_value", 0, "x-none", ...value),
    show("get_header_map_value", 0, "x-dup", ...value),
  );
  assert.equal((await run({ ...guest, abi: "0.1.0" })).joined, "A A 1");
});

test("headers are added, replaced and removed, and each change asks for another route", async () => {
  const { stream, joined } = await run(
    inRequest(
      show("add_header_map_value", 0, "X-New", "\xe9"),
      show("replace_header_map_value", 0, "x-dup", "3"),
      show("remove_header_map_value", 0, ":SCHEME"),
      show("remove_header_map_value", 0, "x-none"),
    ),
  );
  assert.equal(joined, "A A A A");
  assert.deepEqual(stream.request!.headers.slice(3), [
    ["x-new", "\xe9"],
    ["x-dup", "3"],
  ]);
  assert.equal(stream.routeCacheCleared, 4);
});

test("Higress' switch keeps the route", async () => {
  const { stream } = await run(
    inRequest(call("set_property", "clear_route_cache", "off"), call("add_header_map_value", 0, "a", "b")),
  );
  assert.equal(stream.routeCacheCleared, 0);
});

test("maps are there in their phase only", async () => {
  const get = (map: number) => show("get_header_map_value", map, ":path", ...value);
  const { joined } = await run({
    callbacks: {
      on_request_headers: [
        get(2),
        get(3),
        get(6),
        get(8),
        show("add_header_map_value", 2, "a", "b"),
        show("add_header_map_value", 6, "a", "b"),
        show("get_header_map_pairs", 2, ...value),
        show("get_header_map_size", 2, "OUT"),
      ],
      on_response_headers: [get(0)],
      on_log: [get(0), show("add_header_map_value", 0, "a", "b"), get(1)],
    },
  });
  assert.equal(joined, "C C C C C C A C C A /a?b C B");
});

test("memory that the guest has not is no argument", async () => {
  const far = 0x7fff_fff0;
  const { joined } = await run(
    inRequest(
      show("get_header_map_value", 0, far, 4, ...value),
      show("get_header_map_value", 0, ":path", far, far),
      show("add_header_map_value", 0, "a", far, 100),
      show("set_header_map_pairs", 0, far, 4),
      show("set_property", "a", -1, -1),
      show("send_local_response", 200, "", far, 9, "", -1),
      show("http_call", "up", far, 1, "", "", 10, "OUT"),
      show("get_current_time_nanoseconds", far),
      show("call_foreign_function", far, 8, "", 0, 0),
    ),
  );
  assert.equal(joined, "G G G G G G G G G");
});

test("properties come by old and new names, from headers, from the host and from plugins", async () => {
  const get = (...path: string[]) => show("get_property", path.join("\0"), ...value);
  const { joined } = await run(
    inRequest(
      get("route_name"),
      get("xds", "route_name"),
      get("cluster_name"),
      get("request", "path"),
      get("request", "url_path"),
      get("request", "query"),
      get("request", "headers", "X-Dup"),
      get("source", "labels", "app"),
      get("plugin_name"),
      get("plugin_root_id"),
      get("nothing"),
      get(""),
      show("set_property", "mine", "yes"),
      get("mine"),
      get("filter_state", "wasm.mine"),
      show("get_property", "mine\0", ...value),
    ),
    {
      plugin: { rootId: "root" },
      properties: {
        "xds.route_name": "r",
        "xds.cluster_name": "c",
        "source.labels": { map: [["app", "web"]] },
      },
    },
  );
  assert.equal(joined, "A r A r A c A /a?b A /a A b A 1,2 A web A guest A root B D A A yes A yes A yes");
});

test("properties that are numbers are eight bytes", async () => {
  const { logs } = await run({
    callbacks: {
      on_log: [
        show("get_property", "response\0code", ...value),
        show("get_property", "plugin_vm_memory", ...value),
      ],
    },
  });
  assert.deepEqual(logs, ["A", "\xc8\0\0\0\0\0\0\0", "A", "\0\0\x02\0\0\0\0\0"]);
});

test("what is read off headers is there in their phase, and while the stream is logged", async () => {
  const get = show("get_property", "request\0path", ...value);
  const { joined } = await run({
    callbacks: { on_request_headers: [get], on_response_headers: [get], on_log: [get] },
  });
  assert.equal(joined, "A /a?b B A /a?b");
});

test("a name that a plugin has set is what it set, and structures cannot be read", async () => {
  const { joined } = await run(
    inRequest(
      call("set_property", "route_name", "mine"),
      show("get_property", "route_name", ...value),
      show("get_property", "xds\0route_name", ...value),
      show("get_property", "request", ...value),
      show("get_property", "", ...value),
      call("set_property", "a\0b", "two parts"),
      show("get_property", "a\0b", ...value),
      call("set_property", "empty", ""),
      show("get_property", "empty", ...value),
      show("get_property", "response\0headers", ...value),
    ),
    { properties: { "xds.route_name": "r" } },
  );
  assert.equal(joined, "A mine A r D D B A A \0\0\0\0");
});

test("a property that is declared read-only is set once", async () => {
  const declaration = "\x0a\x01p\x10\x01";
  const { joined } = await run(
    inRequest(
      show("call_foreign_function", "declare_property", declaration, 0, 0),
      show("call_foreign_function", "declare_property", declaration, 0, 0),
      show("set_property", "p", "1"),
      show("set_property", "p", "2"),
      show("get_property", "p", ...value),
      show("call_foreign_function", "set_envoy_filter_state", "\x0a\x01s\x12\x01v", 0, 0),
      show("get_property", "filter_state\0s", ...value),
    ),
  );
  assert.equal(joined, "A C A C A 1 A A v");
});

test("foreign functions compress, and what is unknown is not found", async () => {
  const { logs, stream } = await run(
    inRequest(
      call("call_foreign_function", "compress", "hello hello hello", "OUT", "OUT_SIZE"),
      {
        show: "proxy_call_foreign_function",
        with: ["uncompress", "x\x9c\xcbH\xcd\xc9\xc9\x07\x00\x06,\x02\x15", "OUT", "OUT_SIZE"],
      },
      show("call_foreign_function", "uncompress", "no zlib", "OUT", "OUT_SIZE"),
      show("call_foreign_function", "expr_create", "", "OUT", "OUT_SIZE"),
      show("call_foreign_function", "clear_route_cache", "", 0, 0),
      show("call_foreign_function", "declare_property", "\xff", 0, 0),
    ),
  );
  assert.deepEqual(logs, ["A", "hello", "D", "B", "A", "C"]);
  assert.equal(stream.routeCacheCleared, 1);
});

test("a call answers in the plugin's context, and only there", async () => {
  const calls: HttpCall[] = [];
  const headers =
    "\x03\0\0\0\x05\0\0\0\x02\0\0\0\x07\0\0\0\x03\0\0\0\x0a\0\0\0\x01\0\0\0:path\0/x\0:method\0GET\0:authority\0a\0";
  const { joined, stream } = await run(
    {
      callbacks: {
        on_request_headers: [
          show("http_call", "auth", headers, "body", "", 500, "OUT"),
          show("http_call", "nowhere", headers, "", "", 500, "OUT"),
          show("http_call", "auth", "", "", "", 500, "OUT"),
          show("http_call", "auth", headers, "", "", -1, "OUT"),
          { give: 1 },
        ],
        on_http_call_response: [
          show("get_header_map_value", 6, ":status", ...value),
          show("get_buffer_bytes", 4, 0, 100, ...value),
          show("get_header_map_value", 7, "x-t", ...value),
          show("set_buffer_bytes", 4, 0, 1, "x"),
          call("set_effective_context", 2),
          show("continue_stream", 0),
          call("log", 2, "answered"),
        ],
        on_response_headers: [show("get_buffer_bytes", 4, 0, 100, ...value)],
      },
    },
    {
      until: "answered",
      outside: {
        hasUpstream: (name) => name === "auth",
        httpCall(http) {
          calls.push(http);
          return { headers: [[":status", "201"]], body: Buffer.from("ok"), trailers: [["x-t", "1"]] };
        },
      },
    },
  );
  assert.equal(joined, "A C C C A 201 A ok A 1 C A answered B");
  assert.deepEqual(
    [calls[0]!.upstream, Buffer.from(calls[0]!.body).toString(), calls[0]!.timeoutMs],
    ["auth", "body", 500],
  );
  assert.deepEqual(calls[0]!.headers.at(-1), ["content-length", "4"]);
  assert.ok(stream.response!.complete);
});

test("a call that is given up is known by its status, and one that takes too long by its answer", async () => {
  const headers =
    "\x03\0\0\0\x05\0\0\0\x01\0\0\0\x07\0\0\0\x03\0\0\0\x0a\0\0\0\x01\0\0\0:path\0/\0:method\0GET\0:authority\0a\0";
  const cases = [
    [() => undefined, "A reset B failed"],
    [() => Promise.reject(new Error("no")), "A reset B failed"],
    [() => new Promise<undefined>(() => {}), "A A upstream  failed"],
  ] as const;
  for (const [httpCall, expected] of cases) {
    const { joined } = await run(
      {
        callbacks: {
          on_request_headers: [call("http_call", "auth", headers, "", "", 20, "OUT"), { give: 1 }],
          on_http_call_response: [
            show("get_status", 64, "OUT", "OUT_SIZE"),
            show("get_buffer_bytes", 4, 0, 9, ...value),
            call("log", 2, "failed"),
          ],
        },
      },
      { until: "failed", outside: { httpCall } },
    );
    assert.equal(joined, expected);
  }
});

test("gRPC: a call answers once, a stream until it is closed", async () => {
  const sent: string[] = [];
  const answer = (events: GrpcEvents) => {
    events.initialMetadata([["m", "1"]]);
    events.message(Buffer.from("reply"));
    events.trailingMetadata([["t", "2"]]);
    events.close(7, "denied");
  };
  const steps = [
    show("grpc_call", "cluster", "s", "m", "", "hi", 100, 64),
    show("grpc_stream", "cluster", "s", "m", "", 68),
    show("grpc_send", { at: 64 }, "x", 0),
    show("grpc_send", { at: 68 }, "x", 0),
    show("grpc_send", 998, "x", 0),
    show("grpc_close", { at: 68 }),
    show("grpc_cancel", 997),
    { give: 1 },
  ];
  const { joined } = await run(
    {
      callbacks: {
        on_request_headers: steps,
        on_grpc_receive_initial_metadata: [show("get_header_map_value", 4, "m", ...value)],
        on_grpc_receive: [show("get_buffer_bytes", 5, 0, 9, ...value)],
        on_grpc_receive_trailing_metadata: [show("get_header_map_value", 5, "t", ...value)],
        on_grpc_close: [show("get_status", 72, "OUT", "OUT_SIZE"), call("log", 2, "closed")],
      },
    },
    {
      until: "closed",
      outside: {
        grpcCall: (_call, events) => {
          events.message(Buffer.from("unary"));
          events.close(0, "");
          return () => {};
        },
        grpcStream(_method, events) {
          setTimeout(() => answer(events), 20);
          return {
            send: (bytes) => sent.push(Buffer.from(bytes).toString()),
            close: () => sent.push("close"),
            cancel: () => sent.push("cancel"),
          };
        },
      },
    },
  );
  assert.equal(joined, "A A C A B A B A unary A 1 A reply A 2 A denied closed");
  assert.deepEqual(sent, ["x", "close"]);
});

test("shared data is compared and swapped; queues wake who has registered them", async () => {
  const { joined } = await run(
    {
      callbacks: {
        on_request_headers: [
          show("get_shared_data", "k", "OUT", "OUT_SIZE", 64),
          show("set_shared_data", "k", "v", 0),
          show("get_shared_data", "k", "OUT", "OUT_SIZE", 64),
          show("set_shared_data", "k", "w", { at: 64 }),
          show("set_shared_data", "k", "x", { at: 64 }),
          show("resolve_shared_queue", "", "q", 68),
          show("register_shared_queue", "q", 68),
          show("resolve_shared_queue", "vm", "q", 72),
          show("enqueue_shared_queue", { at: 72 }, "item"),
          show("enqueue_shared_queue", 999, "item"),
          { give: 1 },
        ],
        on_queue_ready: [
          show("dequeue_shared_queue", { parameter: 1 }, ...value),
          show("dequeue_shared_queue", { parameter: 1 }, ...value),
          call("log", 2, "empty"),
        ],
      },
    },
    { until: "empty", plugin: { vmId: "vm" } },
  );
  assert.equal(joined, "B A A v A I B A A A B A item H empty");
});

test("metrics count, rise and fall, and are recorded", async () => {
  const stores = createStores();
  const { joined } = await run(
    inRequest(
      show("define_metric", 0, "c", 64),
      show("define_metric", 1, "g", 68),
      show("define_metric", 2, "h", 72),
      show("define_metric", 3, "x", 76),
      show("increment_metric", { at: 64 }, 5n),
      show("increment_metric", { at: 64 }, -1n),
      show("record_metric", { at: 64 }, 2n),
      show("record_metric", { at: 68 }, 9n),
      show("increment_metric", { at: 68 }, -4n),
      show("record_metric", { at: 72 }, 3n),
      show("increment_metric", { at: 72 }, 1n),
      show("get_metric", { at: 72 }, 80),
      show("get_metric", 996, 80),
      show("get_metric", { at: 64 }, 80),
    ),
    { outside: { stores } },
  );
  assert.equal(joined, "A A A C A C A A A A C C B A");
  assert.deepEqual(
    stores.metrics.snapshot().map((metric) => ("value" in metric ? metric.value : metric.histogram.count)),
    [7n, 5n, 1],
  );
});

test("Higress' switches limit what is held of bodies", async () => {
  const limit = (of: string, bytes: string) => call("set_property", `set_${of}coder_buffer_limit`, bytes);
  const held = async (of: string, bytes: string) => {
    const { stream } = await run(
      {
        callbacks: {
          on_request_headers: [limit(of, bytes)],
          on_request_body: [{ give: 1 }],
          on_response_body: [{ give: 1 }],
        },
      },
      {
        request: of === "de" ? { ...request, body: "12345" } : request,
        response: { ...response, body: "12345" },
      },
    );
    return stream.details;
  };
  assert.equal(await held("de", "4"), "request_payload_too_large");
  assert.equal(await held("de", "5"), undefined);
  assert.equal(await held("en", "4"), "response_payload_too_large");
  assert.equal(await held("en", "5"), undefined);
  assert.equal(await held("de", "four"), undefined);
});

test("Higress' Redis, upstream hosts and injected bodies", async () => {
  const { joined, stream } = await run(
    {
      abi: "0.2.100",
      callbacks: {
        on_request_headers: [
          show("redis_init", "redis", "user", "pass", 100),
          show("redis_call", "redis", "PING", "OUT"),
          show("get_upstream_hosts", ...value),
          show("set_upstream_override_host", "10.0.0.1:80"),
          { give: 4 },
        ],
        on_redis_call_response: [
          show("get_buffer_bytes", 9, 0, 9, ...value),
          call("set_effective_context", 2),
          call("continue_stream", 0),
          call("log", 2, "redis"),
        ],
        on_response_headers: [{ give: 4 }, show("inject_encoded_data_to_filter_chain", "", 0)],
        on_response_body: [],
      },
    },
    {
      until: "redis",
      upstreamHosts: [["10.0.0.1:80", "{}"]],
      outside: { redisCall: () => Buffer.from("+PONG") },
    },
  );
  assert.equal(joined, "A A A \x01\0\0\0\x0b\0\0\0\x02\0\0\x0010.0.0.1:80\0{}\0 A A +PONG redis");
  assert.equal(stream.upstreamHost, "10.0.0.1:80");
});

test("a body that the guest injects goes past it", async () => {
  const { stream } = await run(
    {
      abi: "0.2.100",
      callbacks: {
        on_response_headers: [
          call("inject_encoded_data_to_filter_chain", "first ", 0),
          call("inject_encoded_data_to_filter_chain", "last", 1),
          { give: 4 },
        ],
      },
    },
    { response: { headers: [[":status", "200"]] } },
  );
  assert.deepEqual([stream.response!.body.toString(), stream.response!.complete], ["first last", true]);
});

test("names are resolved, and come with their time to live", async () => {
  const addresses = [
    { address: "10.0.0.1:0", ttlSeconds: 7 },
    { address: "10.0.0.2:0", ttlSeconds: 8 },
  ];
  const host = createGuestHost({
    overrides: {
      resolveDns(_name, done) {
        setImmediate(() => done(addresses));
        return () => {};
      },
    },
  });
  const read: Step = { call: "proxy_get_buffer_bytes", with: [8, 0, 100, "OUT", "OUT_SIZE"] };
  await host.start({
    callbacks: {
      on_configure: [{ show: "envoy_resolve_dns", with: ["name", 64] }],
      envoy_on_resolve_dns: [read, call("log", 2, { at: 16 }, { at: 20 })],
    },
  });
  await until("the answer", () => host.logs()[1]);
  assert.deepEqual(host.logs(), ["A", "\x02\0\0\0\x07\0\0\0\x08\0\0\x0010.0.0.1:0\x0010.0.0.2:0\0"]);
});
