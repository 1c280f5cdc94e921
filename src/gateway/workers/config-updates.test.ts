import assert from "node:assert/strict";
import { test } from "node:test";
import { fc } from "../../../test/peers/properties.ts";
import {
  pluginResource,
  receive,
  receivedResource,
  slotListener,
  staticCluster,
} from "../../../test/peers/received-config.ts";
import { typeUrls } from "../../xds/type-urls.ts";
import { applyResponse, emptyConfig } from "../apply-response.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import { collectReferences } from "../references.ts";
import { applyUpdates, createReplay, updatesBetween } from "./config-updates.ts";

const route = (cluster: string) => [{ match: { prefix: "/" }, route: { cluster } }];

/** Clusters and endpoints, plugins and the listener that refers to them, in any order, there and gone. */
const step = fc.oneof(
  fc.record({ cluster: fc.constantFrom("up", "b"), port: fc.integer({ min: 1, max: 3 }) }),
  fc.record({ eds: fc.constantFrom("up", "b") }),
  fc.record({ endpoints: fc.constantFrom("up", "b"), port: fc.integer({ min: 1, max: 3 }) }),
  fc.record({
    gone: fc.constantFrom("cluster", "endpoints", "extensionConfig", "listener"),
    name: fc.constantFrom("up", "b", "p", "q", "test"),
  }),
  fc.record({ plugin: fc.constantFrom("p", "q"), configuration: fc.constantFrom("1", "2") }),
  fc.record({ slots: fc.subarray(["p", "q"]), to: fc.constantFrom("up", "b") }),
);
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

function carryOut(config: GatewayConfig, next: Step): GatewayConfig {
  const { received, listeners } = config;
  const references = collectReferences(received.listeners.accepted, received.clusters.accepted, listeners);
  // Nothing comes that was not asked for.
  if ("plugin" in next && !references.extensionConfigs.has(next.plugin)) return config;
  if ("endpoints" in next && !references.endpoints.has(next.endpoints)) return config;
  if ("cluster" in next) return receive(config, "cluster", [staticCluster(next.cluster, next.port)]);
  if ("plugin" in next)
    return receive(config, "extensionConfig", [pluginResource(next.plugin, "a.wasm", next.configuration)]);
  if ("slots" in next) return receive(config, "listener", [slotListener(8080, next.slots, route(next.to))]);
  if ("gone" in next) {
    const typeUrl = typeUrls[next.gone as keyof typeof typeUrls];
    return applyResponse(config, { typeUrl, changed: [], removed: [next.name] }).config;
  }
  if ("eds" in next) {
    const eds = { type: "EDS", eds_cluster_config: { eds_config: { ads: {} } } };
    return receive(config, "cluster", [receivedResource("cluster", next.eds, eds)]);
  }
  const json = { cluster_name: next.endpoints, endpoints: [{ lb_endpoints: [endpoint(next.port)] }] };
  return receive(config, "endpoints", [receivedResource("endpoints", next.endpoints, json)]);
}

function endpoint(port: number) {
  return { endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } } };
}

/** What a gateway would do by a configuration, as text. */
function effectOf({
  listeners,
  clusters,
  extensionConfigs,
  warmingListeners,
  warmingClusters,
}: GatewayConfig): string {
  const sorted = (map: ReadonlyMap<string, unknown>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1));
  const all = [listeners, clusters, extensionConfigs, warmingListeners, warmingClusters].map(sorted);
  return JSON.stringify(all, (_, value) => plainOf(value));
}

function plainOf(value: unknown): unknown {
  if (typeof value === "bigint") return String(value);
  if (value instanceof Map) return [...value];
  if (value instanceof Uint8Array) return Buffer.from(value).toJSON();
  return value;
}

test("whoever applies the differences of each step has the same in effect", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let config = emptyConfig;
      let worker = emptyConfig;
      for (const next of steps) {
        const before = config;
        config = carryOut(config, next);
        worker = applyUpdates(worker, updatesBetween(before, config));
        assert.equal(effectOf(worker), effectOf(config));
      }
      assert.deepEqual(updatesBetween(config, config), []);
    }),
  );
});

test("who starts late has in effect what the others have, also what a newer version waits to replace", () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      const replay = createReplay();
      let config = emptyConfig;
      for (const next of steps) {
        config = carryOut(config, next);
        replay.follow(config);
      }
      assert.equal(effectOf(applyUpdates(emptyConfig, replay.updates())), effectOf(config));
    }),
  );
});
