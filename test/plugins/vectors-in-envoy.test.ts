// What plugins/vectors.test.ts has on our host, in a real Envoy: the upstream gets and the client receives what Higress'
// plugins made of the same requests. Envoy reorders nothing on the way: pseudo headers go first, all other lines in the order in
// which plugins leave them, over HTTP/2 on both sides. So headers are compared in their order, those of different names too.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { buildPlugin } from "../../sdk/test/modules.ts";
import type { Failure } from "../../src/plugin/compare-outcome.ts";
import type { PluginTestCase, TestMessage } from "../../src/plugin/test-file.ts";
import type { RequestMessage } from "../guests/case-file.ts";
import { compareExchange } from "./compare-exchange.ts";
import { type Exchange, type PluginEnvoy, startPluginEnvoy } from "./plugin-envoy.ts";
import type { PluginListener, StreamRoute } from "./plugin-listener.ts";
import { pluginsWithVectors, readKnownFailures, readPluginVectors } from "./vector-files.ts";

/** A case and where it goes. */
interface Placed {
  readonly test: PluginTestCase;
  readonly listener: PluginListener;
  readonly route: number;
}

describe("plugins in a real Envoy answer as Higress' do", () => {
  for (const name of pluginsWithVectors)
    it(name, async () => {
      const known = await readKnownFailures(name);
      const cases = (await readPluginVectors(name)).cases
        .filter((each) => !joined.includes(each.name))
        .map((each) => (known.includes(each.name) ? strictly(each) : each));
      const placed = place(name, await buildPlugin(name), cases);
      const envoy = await startPluginEnvoy([...new Set(placed.map(({ listener }) => listener))]);
      try {
        assert.deepEqual(await runAll(envoy, placed), []);
      } finally {
        await envoy.close();
      }
    });
});

/** The program that took down the answers joins what is added to a header that is there; a proxy adds a line. */
const joined = ["pre-existing consumer header"];

/** What ours answers otherwise on purpose is to be as the reference has it with `strict: true`. */
function strictly(test: PluginTestCase): PluginTestCase {
  return { ...test, config: JSON.stringify({ ...(JSON.parse(test.config) as object), strict: true }) };
}

async function runAll(envoy: PluginEnvoy, cases: readonly Placed[]): Promise<object[]> {
  const failed: object[] = [];
  for (const each of cases) {
    const failures = await runPlaced(envoy, each);
    if (failures.length > 0) failed.push({ name: each.test.name, failures });
  }
  return failed;
}

/** A listener for each configuration, a route for each place that a stream of it can go to. */
function place(name: string, module: string, cases: readonly PluginTestCase[]): Placed[] {
  const listeners = new Map<string, PluginListener & { routes: StreamRoute[] }>();
  return cases.map((test) => {
    const { config: configuration, properties } = test;
    const listener = listeners.get(configuration) ?? {
      ...{ id: `${name}-${listeners.size}`, module, configuration, routes: [] },
    };
    listeners.set(configuration, listener);
    return { test, listener, route: routeNumber(listener.routes, properties) };
  });
}

function routeNumber(routes: StreamRoute[], properties: PluginTestCase["properties"]): number {
  const { route_name = "", cluster_name = "upstream", ...others } = properties;
  const [route, cluster] = [String(route_name), String(cluster_name)];
  assert.deepEqual(others, {}, "a property that routes do not have");
  const found = routes.findIndex((each) => each.route === route && each.cluster === cluster);
  return found >= 0 ? found : routes.push({ route, cluster }) - 1;
}

async function runPlaced(envoy: PluginEnvoy, { test, listener: { id }, route }: Placed): Promise<Failure[]> {
  const port = envoy.ports.get(id);
  const { start: expected = "ok" } = test.expect;
  const actual = port === undefined ? "failed" : "ok";
  if (port === undefined || actual !== expected)
    return actual === expected ? [] : [{ path: "start", expected, actual }];
  const request = requestOf(test.request!);
  const exchange = await envoy.exchange(
    { id, port, route },
    request,
    test.response && messageOf(test.response),
  );
  return hasFragment(request) ? refusal(exchange) : compareExchange(test, exchange);
}

function hasFragment({ headers }: RequestMessage): boolean {
  return headers.some(([name, value]) => name === ":path" && value.includes("#"));
}

/** Envoy answers a path with a fragment by itself, before any filter: such a case cannot be put to a plugin in it. */
function refusal({ details, request }: Exchange): Failure[] {
  const expected = "path_normalization_failed";
  if (details === expected && !request) return [];
  return [{ path: "local.details", expected, actual: details }];
}

function requestOf(message: TestMessage): RequestMessage {
  return { ...messageOf(message), headers: message.headers };
}

function messageOf({ headers, body, trailers }: TestMessage): RequestMessage {
  return {
    headers,
    ...(body ? { body: Buffer.concat(body).toString() } : {}),
    ...(trailers ? { trailers } : {}),
  };
}
