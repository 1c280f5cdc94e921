import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { gatewayNode } from "../../src/agent/node.ts";
import { emptyConfig } from "../../src/gateway/apply-response.ts";
import { followAgent } from "../../src/gateway/follow-agent.ts";
import type { FilterConfig, GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { selectRoute } from "../../src/gateway/select-route.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { silentLog } from "../../src/log.ts";
import { HeaderMap } from "../../src/proxy-wasm/header-map.ts";
import { createWatchable } from "../../src/watchable.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";

let files: SeedFiles;
let roles: SeparateRoles;
const done = new AbortController();
const config = createWatchable<GatewayConfig>(emptyConfig);

before(async () => {
  files = await layOutSeed();
  roles = createSeparateRoles(files, "--no-envoy");
  for (const role of ["registry", "core", "discovery", "agent"] as const) roles.start(role);
  const node = fromJson(NodeSchema, gatewayNode() as unknown as JsonObject);
  const target = `unix:${join(files.dataDir, "xds.sock")}`;
  followAgent({ target, node, config, signal: done.signal, log: silentLog });
  await until("the listener serves", () => current().listeners.size > 0, 60_000);
});

after(async () => {
  done.abort();
  await roles.close();
  await files.close();
});

const current = () => config.value!;
const pluginNames = "custom-response wasm-transformer wasm-keyauth easy-logger"
  .split(" ")
  .map((name) => `higress-system.${name}`);

function wasmOf(name: string): Extract<FilterConfig, { kind: "wasm" }> {
  const filter = current().extensionConfigs.get(name);
  if (filter?.kind !== "wasm") assert.fail(`${name} is ${filter?.kind}`);
  return filter;
}

test("the listener of the chapter serves with its plugins in their places", () => {
  const listener =
    current().listeners.get(`0.0.0.0_${files.trafficPort}`) ?? [...current().listeners.values()][0]!;
  assert.equal(current().warmingListeners.size, 0);
  const { http } = listener.chains[0]!;
  const plugins = http.filters.flatMap((slot) => (slot.kind === "discovery" ? [slot.name] : []));
  assert.deepEqual([...plugins].sort(), [...pluginNames].sort());
  assert.equal(http.filters.at(-1)?.name, "envoy.filters.http.router");
  assert.equal(http.useRemoteAddress, true);
});

test("every plugin is a local file", () => {
  for (const name of pluginNames) {
    const { vm } = wasmOf(name).config.config!;
    const code = vm.case === "vmConfig" ? vm.value.code?.specifier : undefined;
    assert.equal(code?.case, "local");
    const file = code?.case === "local" ? code.value.specifier : undefined;
    assert.ok(file?.case === "filename" && existsSync(file.value), `${name}: ${file?.value}`);
  }
});

test("requests find their route, its cluster and an endpoint", () => {
  const listener = [...current().listeners.values()][0]!;
  const { routes } = listener.chains[0]!.http;
  const table = routes.kind === "name" ? current().routes.get(routes.name) : routes.table;
  const headers = new HeaderMap([
    [":authority", "foo.com:8080"],
    [":path", "/x?y"],
    [":scheme", "http"],
    ["x-forwarded-proto", "http"],
  ]);
  const selected = selectRoute(table!, { headers, random: 0 });
  assert.equal(selected?.action.kind, "forward");
  const cluster = current().clusters.get(selected!.cluster);
  const endpoint = cluster?.endpoints.localities[0]?.endpoints[0];
  assert.equal(endpoint?.address, "127.0.0.1");
  assert.equal(current().warmingClusters.size, 0);
});

test("an edit of a plugin changes that plugin and nothing else", async () => {
  const before = current();
  await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
  await until("the edit is there", () => current() !== before);
  const edited = current();
  assert.equal(edited.listeners, before.listeners);
  assert.equal(edited.clusters, before.clusters);
  assert.equal(edited.routes, before.routes);
  for (const name of pluginNames) {
    const same = edited.extensionConfigs.get(name) === before.extensionConfigs.get(name);
    assert.equal(same, name !== "higress-system.custom-response", name);
  }
});

test("while the agent is away everything stays; what changed meanwhile comes when it is back", async () => {
  const before = current();
  await roles.stop("agent", "SIGKILL");
  await files.edit("custom-response.yaml", (text) => text.replace("key1=edited", "key1=meanwhile"));
  assert.equal(current(), before);
  roles.start("agent");
  const text = () =>
    Buffer.from(wasmOf("higress-system.custom-response").config.config!.configuration!.value).toString();
  await until("the edit is there", () => text().includes("key1=meanwhile"), 60_000);
  assert.equal(current().listeners.get([...before.listeners.keys()][0]!), [...before.listeners.values()][0]);
  for (const name of pluginNames.slice(1))
    assert.equal(current().extensionConfigs.get(name), before.extensionConfigs.get(name), name);
});

test("a route of another host takes the place of the one before", async () => {
  await files.edit("ingresses.yaml", (text) => text.replaceAll("foo.com", "new.com"));
  const domains = () =>
    [...current().routes.values()].flatMap(({ virtualHosts }) =>
      virtualHosts.flatMap((host) => host.domains),
    );
  await until("the route is there", () => domains().includes("new.com") && !domains().includes("foo.com"));
});

test("a plugin that is added warms its listener, one that is removed is forgotten", async () => {
  const before = current();
  const added = ["---", "apiVersion: extensions.higress.io/v1alpha1", "kind: WasmPlugin", "metadata:"].join(
    "\n",
  );
  const url = "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0";
  const plugin = `${added}\n  name: extra\n  namespace: higress-system\nspec:\n  defaultConfig: {}\n  url: ${url}\n`;
  let unready = 0;
  const watching = new AbortController();
  config.watch(({ listeners, extensionConfigs }) => {
    const slots = [...listeners.values()].flatMap(({ chains }) => chains[0]!.http.filters);
    const waits = slots.some(({ kind, name }) => kind === "discovery" && !extensionConfigs.has(name));
    if (waits) unready++;
  }, watching.signal);
  await files.edit("chain.yaml", (text) => `${text}\n${plugin}`);
  await until("the plugin is there", () => hasSlot("higress-system.extra"));
  assert.ok(current().extensionConfigs.has("higress-system.extra"));
  assert.equal(current().clusters, before.clusters);
  await files.edit("chain.yaml", (text) => text.replace(plugin, ""));
  await until("the plugin is gone", () => !hasSlot("higress-system.extra"));
  assert.deepEqual([...current().extensionConfigs.keys()].sort(), [...pluginNames].sort());
  watching.abort();
  assert.equal(unready, 0);
});

function hasSlot(name: string): boolean {
  return [...current().listeners.values()].some(({ chains }) =>
    chains.some(({ http }) => http.filters.some((slot) => slot.name === name)),
  );
}
