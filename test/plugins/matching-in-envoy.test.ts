// What sdk/test/rule-matcher.test.ts has in a host of its own, in a real Envoy: requests to hosts, routes and clusters, and
// which configuration the plugin used for them.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildFixture, readVectors } from "../../sdk/test/modules.ts";
import { type PluginEnvoy, startPluginEnvoy } from "./plugin-envoy.ts";
import type { PluginListener, StreamRoute } from "./plugin-listener.ts";

interface Query {
  readonly host: string;
  readonly route_name: string;
  readonly cluster_name: string;
  readonly result: string;
}

interface MatchingCase {
  readonly name: string;
  readonly config: unknown;
  readonly parse_error?: string;
  readonly queries?: readonly Query[];
}

/** Envoy takes no request with such a host, over HTTP/2. */
const refusedHosts = new Set([""]);

describe("rule matcher in a real Envoy", () => {
  it("decides like the reference in every vector", async () => {
    const vectors = await readVectors<MatchingCase[]>("matching");
    const module = await buildFixture();
    const envoy = await startPluginEnvoy(vectors.map((vector, i) => listenerOf(module, vector, i)));
    try {
      const failed: object[] = [];
      for (const [i, vector] of vectors.entries())
        failed.push(...(await check(envoy, vector, envoy.ports.get(idOf(i)))));
      assert.deepEqual(failed, []);
    } finally {
      await envoy.close();
    }
  });
});

function idOf(index: number): string {
  return `matching-${index}`;
}

function listenerOf(module: string, { config, queries = [] }: MatchingCase, index: number): PluginListener {
  const isObject = typeof config === "object" && config !== null && !Array.isArray(config);
  const configuration = JSON.stringify(isObject ? { ...config, strict: true } : config);
  return { id: idOf(index), module, configuration, routes: queries.map(routeOf) };
}

function routeOf({ route_name: route, cluster_name: cluster }: Query): StreamRoute {
  return { route, ...(cluster === "" ? {} : { cluster }) };
}

async function check(
  envoy: PluginEnvoy,
  { name, parse_error, queries = [] }: MatchingCase,
  port: number | undefined,
): Promise<object[]> {
  const starts = parse_error === undefined;
  if (port === undefined || !starts) return starts === (port !== undefined) ? [] : [{ name, starts, port }];
  const results = await Promise.all(queries.map((query, i) => ask(envoy, port, i, query)));
  return queries.flatMap((query, i) => {
    const expected = refusedHosts.has(query.host) ? "refused" : query.result;
    return results[i] === expected ? [] : [{ name, ...query, actual: results[i] }];
  });
}

/** What the plugin reports in the response; "none" if it was not in effect, "refused" where Envoy took no request. */
async function ask(envoy: PluginEnvoy, port: number, route: number, { host }: Query): Promise<string> {
  const sent = await envoy.ask(port, route, {
    headers: [
      [":method", "GET"],
      [":scheme", "http"],
      [":authority", host],
      [":path", "/"],
    ],
  });
  const lines = new Map(sent?.received.headers);
  if (lines.get(":status") !== "200") return "refused";
  return lines.get("x-match") ?? "none";
}
