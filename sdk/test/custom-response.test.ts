import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { type HeaderLine, Host, type LocalReply } from "./host.ts";
import { buildPlugin, readVectors, startHost } from "./modules.ts";

interface Exchange {
  readonly route_name?: string;
  readonly request_headers: HeaderLine[];
  readonly response_headers?: HeaderLine[];
  readonly expect: {
    readonly request_headers_action: "Continue" | "StopIteration(Pause)";
    readonly request_headers_after: HeaderLine[];
    readonly response_headers_after?: HeaderLine[];
    readonly local_response?: LocalReply & { readonly grpc_status: number };
  };
}

interface PluginCase {
  readonly name: string;
  readonly config: unknown;
  readonly plugin_start: "OK" | "Failed";
  readonly requests?: readonly Exchange[];
}

const CYCLES = 1_000_000;
const WARM_UP = 50_000;

describe("custom-response", () => {
  let module = "";
  before(async () => {
    module = await buildPlugin("custom-response");
  });

  function checkExchange(host: Host, exchange: Exchange, name: string): void {
    const { expect } = exchange;
    const { id, action } = host.request(structuredClone(exchange.request_headers), {
      "xds.route_name": exchange.route_name ?? "test-route-default",
      "xds.cluster_name": "test-cluster-default",
    });
    if (exchange.response_headers) host.response(id, structuredClone(exchange.response_headers));
    host.end(id);
    assert.equal(action, expect.request_headers_action === "Continue" ? 0 : 1, name);
    assert.deepEqual(host.stream.maps[0], expect.request_headers_after, name);
    if (expect.response_headers_after)
      assert.deepEqual(host.stream.maps[2], expect.response_headers_after, name);
    const { grpc_status: _, ...reply } = expect.local_response ?? { grpc_status: -1 };
    assert.deepEqual(host.stream.reply, expect.local_response && reply, name);
  }

  it("answers like the reference in every vector", async () => {
    for (const vector of await readVectors<PluginCase[]>("custom-response")) {
      const host = new Host(module);
      assert.equal(
        host.start(vector.config),
        vector.plugin_start === "OK",
        `${vector.name}: ${host.logs.join("; ")}`,
      );
      for (const exchange of vector.requests ?? []) checkExchange(host, exchange, vector.name);
    }
  });

  it("names every error of a configuration", () => {
    const host = new Host(module);
    assert.equal(
      host.start({ headers: ["a"], status_code: 12.5, enable_on_status: ["12a", 200, 200] }),
      false,
    );
    for (const text of [
      "invalid header pair format: a:",
      "status code value: 12.5:",
      "value: 12a:",
      "200 is there twice",
    ]) {
      assert.ok(host.logs.join("\n").includes(text), text);
    }
  });

  it("needs no hostcall that a proxy might lack", () => {
    const { imports, exports } = new Host(module);
    for (const { module: from, name } of imports) assert.match(`${from}.${name}`, /^env\.proxy_[a-z_]+$/);
    assert.ok(
      exports.includes("proxy_abi_version_0_2_1") && exports.includes("malloc") && exports.includes("memory"),
    );
  });

  it(`keeps its memory over ${CYCLES} requests`, () => {
    const rule = { _match_route_: ["r"], body: "route", headers: ["a=b"] };
    const host = startHost(module, {
      body: "x",
      _rules_: [{ _match_domain_: ["*.foo.com"], body: "d" }, rule],
    });
    const headers: HeaderLine[] = [[":authority", "bar.com"]];
    const properties = { "xds.route_name": "r" };
    let warm = 0;
    for (let i = 0; i < CYCLES; i++) {
      const { id } = host.request(headers, properties);
      host.end(id);
      host.asked.length = 0;
      if (i === WARM_UP) warm = host.memorySize;
    }
    assert.equal(host.stream.reply?.body, "route");
    assert.equal(host.memorySize, warm);
    assert.deepEqual(host.logs, []);
  });
});
