import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { gatewayNode } from "../../src/agent/node.ts";
import { emptyConfig } from "../../src/gateway/apply-response.ts";
import { configDump } from "../../src/gateway/config-dump.ts";
import { followAgent } from "../../src/gateway/follow-agent.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { silentLog } from "../../src/log.ts";
import { createWatchable } from "../../src/watchable.ts";
import { getJson } from "../e2e/status.ts";
import { type SeedSystem, startSeed } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";

let system: SeedSystem;
const done = new AbortController();
const config = createWatchable<GatewayConfig>(emptyConfig);

before(async () => {
  system = await startSeed("envoy");
  const node = fromJson(NodeSchema, gatewayNode() as unknown as JsonObject);
  const target = `unix:${join(system.dataDir, "xds.sock")}`;
  followAgent({ target, node, config, signal: done.signal, log: silentLog });
  await until("the listener serves", () => config.value!.listeners.size > 0);
});

after(async () => {
  done.abort();
  await system?.close();
});

/** The sections by their type: without times, lists by name. What a gateway has of its own is left out. */
function comparable(dump: JsonObject): Map<string, JsonValue> {
  const ownSections = /(Bootstrap|Endpoints)ConfigDump$/;
  const sections = (dump.configs as JsonObject[]).filter(
    (section) => !ownSections.test(String(section["@type"])),
  );
  return new Map(sections.map((section) => [String(section["@type"]), withoutTimes(section)]));
}

function withoutTimes(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map(withoutTimes);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(
    ([name]) => name !== "last_updated" && name !== "static_clusters",
  );
  return Object.fromEntries(
    entries.map(([name, item]) => {
      const plain = withoutTimes(item);
      const isResources = Array.isArray(plain) && /^(dynamic_|ecds_)/.test(name);
      return [name, isResources ? [...plain].sort((a, b) => (nameIn(a) < nameIn(b) ? -1 : 1)) : plain];
    }),
  );
}

function nameIn(entry: JsonValue): string {
  return /"name":"([^"]*)"/.exec(JSON.stringify(entry))?.[1] ?? "";
}

test("the configuration dump is Envoy's", async () => {
  const envoy = comparable(await getJson<JsonObject>(system.adminPort, "/config_dump"));
  const gateway = comparable(configDump(config.value!, { bootstrap: {}, startedAt: new Date() }));
  assert.deepEqual([...gateway.keys()], [...envoy.keys()]);
  for (const [type, section] of envoy) assert.deepEqual(gateway.get(type), section, type);
});
