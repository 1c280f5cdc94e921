import assert from "node:assert/strict";
import { test } from "node:test";
import { type GuestOptions, guestModule, out, outSize } from "../../test/peers/guest-module.ts";
import { compileModule } from "../proxy-wasm/index.ts";
import { compareOutcome } from "./compare-outcome.ts";
import type { CaseOutcome } from "./outcome.ts";
import { runCase } from "./run-case.ts";
import { parseTestFile } from "./test-file.ts";

/** Runs the one case of a text with a guest; what it expects is compared, and the rest is for the test. */
async function run(guest: GuestOptions, caseText: string, head = ""): Promise<CaseOutcome> {
  const { tests, diagnostics } = parseTestFile(`${head}\ncases:\n  - {name: a, ${caseText}}`, "a.yaml");
  assert.deepEqual(diagnostics, []);
  const { vmConfig, env, cases } = tests!;
  const module = await compileModule(guestModule(guest), { name: "guest.wasm" });
  const outcome = runCase(cases[0]!, { module, vmConfig, env });
  assert.deepEqual(compareOutcome(cases[0]!.expect, outcome), []);
  return outcome;
}

const get = 'headers: [[":method", GET], [":path", /], [":authority", foo.com], [":scheme", http]]';
const requestMap = 0;
const responseMap = 2;
const call = (upstream: string) => ({
  call: "proxy_http_call",
  with: [
    upstream,
    pairs([":method", "GET"], [":path", "/check"], [":authority", "a"]),
    "body",
    "",
    0,
    "OUT",
  ] as const,
});
/** A place in a guest's memory that nothing else is written to. */
const statusAt = 60_000;
const showCallBody = { show: "proxy_get_buffer_bytes", with: [4, 0, 1000, "OUT", "OUT_SIZE"] } as const;

/** Headers as a guest writes them. */
function pairs(...lines: readonly (readonly [string, string])[]): string {
  const head = Buffer.alloc(4 + 8 * lines.length);
  head.writeUInt32LE(lines.length);
  for (const [i, length] of lines
    .flat()
    .map((each) => each.length)
    .entries())
    head.writeUInt32LE(length, 4 + 4 * i);
  return head.toString("latin1") + lines.flatMap(([name, value]) => [`${name}\0`, `${value}\0`]).join("");
}

test("the action, the headers and the body are those that the next filter gets", async () => {
  await run(
    {
      callbacks: {
        on_request_headers: [{ call: "proxy_add_header_map_value", with: [requestMap, "x-a", "1"] }],
        on_request_body: [{ call: "proxy_set_buffer_bytes", with: [0, 0, 100, "new"] }],
        on_response_headers: [{ call: "proxy_add_header_map_value", with: [responseMap, "x-b", "2"] }],
      },
    },
    `request: {${get}, body: old}, response: {headers: [[":status", 200]], body: [a, b]},
     expect: {request: {action: continue, body: new, hasHeaders: [[x-a, 1]]},
              response: {action: continue, headers: [[":status", 200], [x-b, 2]], body: ab}, local: none}`,
  );
});

test("what the plugin holds is as it left it, and the response never comes", async () => {
  const outcome = await run(
    {
      callbacks: {
        on_request_headers: [
          { call: "proxy_add_header_map_value", with: [requestMap, "x-a", "1"] },
          { give: 1 },
        ],
      },
    },
    `request: {${get}, body: b}, response: {headers: [[":status", 200]]}, expect: {request: {action: pause, hasHeaders: [[x-a, 1]], body: ""}}`,
  );
  assert.equal(outcome.response, undefined);
});

test("header values are UTF-8 in the file and bytes for the plugin", async () => {
  await run(
    {
      callbacks: {
        on_request_headers: [
          { call: "proxy_get_header_map_value", with: [requestMap, "x-a", "OUT", "OUT_SIZE"] },
          { call: "proxy_log", with: [2, { at: out }, { at: outSize }] },
          { call: "proxy_add_header_map_value", with: [requestMap, "x-b", "\xff"] },
        ],
      },
    },
    `request: {headers: [[":method", GET], [x-a, é你]]}, expect: {logs: [{level: info, contains: é你}], request: {hasHeaders: [[x-a, é你], [x-b, "base64:/w=="]]}}`,
  );
});

test("a local response is the plugin's own, in the request and in the response", async () => {
  const reply = {
    call: "proxy_send_local_response",
    with: [403, "my details", "no", pairs(["X-A", "1"]), -1],
  } as const;
  const sent = 'local: {status: 403, headers: [[x-a, 1]], body: "no", details: my_details}';
  await run(
    { callbacks: { on_request_headers: [reply, { give: 1 }] } },
    `request: {${get}}, expect: {${sent}, request: {action: pause}}`,
  );
  await run(
    { callbacks: { on_response_headers: [reply, { give: 1 }] } },
    `request: {${get}}, response: {headers: [[":status", 200]], body: x}, expect: {${sent}, response: {action: pause, headers: [[":status", 200]], body: ""}}`,
  );
});

test("a response of the host's own is local too, with the host's reason", async () => {
  await run(
    {
      callbacks: {
        on_request_headers: [{ call: "proxy_remove_header_map_value", with: [requestMap, ":method"] }],
      },
    },
    `request: {${get}}, expect: {local: {status: 503, details: "filter_removed_required_request_headers{missing_required_header:_:method}"}}`,
  );
});

test("calls are answered in order, each to its upstream, and fail without waiting", async () => {
  const guest: GuestOptions = {
    callbacks: {
      on_request_headers: [call("first"), call("second"), call("third"), { give: 1 }],
      on_http_call_response: [showCallBody],
    },
  };
  const outcome = await run(
    guest,
    `request: {${get}}, calls: [{upstream: second, body: two}, {body: one}, {fails: true}],
     expect: {calls: [{upstream: first, body: body, hasHeaders: [[":path", /check]]}, {upstream: second}, {upstream: third}],
              logs: [{contains: one}, {contains: two}]}`,
  );
  assert.deepEqual(
    outcome.logs.map(({ message }) => message),
    ["A", "one", "A", "two", "B"],
  );
  const unanswered = await run(
    guest,
    `request: {${get}}, calls: [{body: one}], expect: {logs: [{level: warn, contains: no answer left}]}`,
  );
  assert.equal(unanswered.calls.length, 3);
});

test("gRPC calls and streams get the messages, the metadata and the status that the case says", async () => {
  const metadata = pairs(["x-m", "1"]);
  // The second call of the Vm, and a stream of gRPC.
  const streamToken = (2 << 2) | 2;
  const guest: GuestOptions = {
    callbacks: {
      on_request_headers: [
        { call: "proxy_grpc_call", with: ["first", "a.B", "Say", metadata, "hi", 0, "OUT"] },
        { call: "proxy_grpc_stream", with: ["second", "a.B", "Chat", "", "OUT"] },
        { call: "proxy_grpc_send", with: [streamToken, "one", 0] },
        { call: "proxy_grpc_send", with: [streamToken, "two", 1] },
        call("third"),
        { call: "proxy_grpc_call", with: ["fourth", "a.B", "Say", "", "", 0, "OUT"] },
        { call: "proxy_grpc_call", with: ["fifth", "a.B", "Say", "", "", 0, "OUT"] },
      ],
      on_grpc_receive: [{ show: "proxy_get_buffer_bytes", with: [5, 0, 1000, "OUT", "OUT_SIZE"] }],
      on_grpc_close: [{ show: "proxy_get_status", with: [statusAt, "OUT", "OUT_SIZE"] }],
      on_http_call_response: [showCallBody],
    },
  };
  const outcome = await run(
    guest,
    `request: {${get}},
     calls: [{body: HTTP}, {upstream: second, grpc: {messages: [ex, why], text: over}},
             {grpc: {messages: hello}}, {grpc: {status: 5, text: unknown}}],
     expect: {calls: [{upstream: first, headers: [[":path", /a.B/Say], [x-m, 1]], body: hi},
                      {upstream: second, headers: [[":path", /a.B/Chat]], body: onetwo}, {upstream: third}, {upstream: fourth}, {upstream: fifth}],
              logs: [{level: warn, contains: a call to fifth fails}]}`,
  );
  const said = outcome.logs.filter(({ level }) => level === "info").map(({ message }) => message);
  assert.deepEqual(
    said.filter((text) => !/^.$/.test(text)),
    ["hello", "ex", "why", "over", "HTTP", "unknown", "no healthy upstream"],
  );
});

test("a plugin that waits for a tick gets it at once, and one that ticks for ever is left alone", async () => {
  const ticking = { call: "proxy_set_tick_period_milliseconds", with: [3_600_000] } as const;
  const start = Date.now();
  const outcome = await run(
    {
      callbacks: {
        on_configure: [ticking],
        on_request_headers: [{ give: 1 }],
        on_tick: [{ call: "proxy_log", with: [1, "tick"] }],
      },
    },
    `request: {${get}}, expect: {request: {action: pause}, logs: [{level: debug, contains: tick}]}`,
  );
  assert.ok(outcome.logs.length >= 10);
  assert.ok(Date.now() - start < 3_600_000);
});

test("properties of the case have their old and new names, also while the plugin starts", async () => {
  const ask = (path: string) => ({ show: "proxy_get_property", with: [path, "OUT", "OUT_SIZE"] }) as const;
  await run(
    {
      callbacks: {
        on_configure: [ask("xds\0node\0id")],
        on_request_headers: [
          ask("route_name"),
          ask("xds\0route_name"),
          ask("xds\0cluster_name"),
          ask("nothing"),
          { call: "proxy_set_property", with: ["mine", "yes"] },
          { call: "proxy_set_property", with: ["bytes", "\xff\0"] },
        ],
      },
    },
    `properties: {route_name: r, xds.cluster_name: c, node.id: n}, request: {${get}},
     expect: {logs: [{contains: n}, {contains: r}, {contains: r}, {contains: c}, {contains: B}],
              properties: {mine: "yes", bytes: ff00, route_name: r, request.method: GET}}`,
  );
});

test("metrics are counted by name, histograms by their values, for this case alone", async () => {
  const define = (kind: number, name: string) =>
    ({ call: "proxy_define_metric", with: [kind, name, "OUT"] }) as const;
  const record = (name: string, value: bigint) => ({ call: name, with: [{ at: out }, value] }) as const;
  const guest: GuestOptions = {
    callbacks: {
      on_log: [
        define(0, "denied"),
        record("proxy_increment_metric", 2n),
        define(1, "level"),
        record("proxy_record_metric", -3n),
        define(2, "size"),
        record("proxy_record_metric", 7n),
        record("proxy_record_metric", 8n),
      ],
    },
  };
  for (let i = 0; i < 2; i++)
    await run(guest, `request: {${get}}, expect: {metrics: {denied: 2, level: -3, size: 2}}`);
});

test("configurations and the environment come as the file has them", async () => {
  const show = (buffer: number) =>
    ({ show: "proxy_get_buffer_bytes", with: [buffer, 0, 1000, "OUT", "OUT_SIZE"] }) as const;
  await run(
    { callbacks: { on_configure: [show(7), show(6)] } },
    'expect: {logs: [{contains: "{\\"a\\":1}"}, {contains: vm}]}',
    "config: {a: 1}\nvmConfig: vm",
  );
});

test("a plugin that says no has not started, with what it said", async () => {
  const guest: GuestOptions = {
    callbacks: { on_configure: [{ call: "proxy_log", with: [3, "bad colour"] }, { give: 0 }] },
  };
  const outcome = await run(guest, "expect: {start: failed, logs: [{level: warn, contains: colour}]}");
  const [failure] = compareOutcome({}, outcome);
  assert.equal(failure?.path, "start");
  assert.match(String(failure.actual), /^failed: plugin guest \(guest\.wasm\) refused .*: bad colour$/);
});

test("a plugin that traps fails its case, unless the case is about that", async () => {
  const guest: GuestOptions = { callbacks: { on_request_headers: ["trap"] } };
  const outcome = await run(
    guest,
    `request: {${get}}, expect: {local: {status: 503, details: wasm_fail_stream}, logs: [{level: critical, contains: unreachable}]}`,
  );
  assert.deepEqual(
    compareOutcome({}, outcome).map(({ path, actual }) => [path, actual]),
    [["end", "unreachable"]],
  );
  const late = runTrapInLog();
  assert.deepEqual(
    compareOutcome({ request: { action: "continue" } }, await late).map(({ path }) => path),
    ["end"],
  );
});

function runTrapInLog(): Promise<CaseOutcome> {
  return run({ callbacks: { on_log: ["trap"] } }, `request: {${get}}, expect: {logs: [{level: critical}]}`);
}

test("a response without a request answers some request, and a case without both only starts", async () => {
  const guest: GuestOptions = {
    callbacks: { on_response_headers: [{ call: "proxy_log", with: [2, "seen"] }] },
  };
  await run(
    guest,
    'response: {headers: [[":status", 200]]}, expect: {logs: [{contains: seen}], response: {action: continue}}',
  );
  const outcome = await run(guest, "expect: {start: ok}");
  assert.equal(outcome.request, undefined);
});

test("trailers pass, and gRPC, Redis and DNS have nobody there", async () => {
  await run(
    {
      callbacks: {
        on_request_trailers: [{ call: "proxy_add_header_map_value", with: [1, "t", "2"] }],
        on_request_headers: [
          { show: "proxy_grpc_call", with: ["up", "service", "method", "", "message", 0, "OUT"] },
          { show: "envoy_resolve_dns", with: ["example.com", "OUT"] },
        ],
        on_grpc_close: [{ call: "proxy_log", with: [2, "closed"] }],
      },
    },
    `request: {${get}, body: x, trailers: [[s, 1]]}, expect: {request: {trailers: [[s, 1], [t, 2]]}, logs: [{contains: closed}]}`,
  );
});
