import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import { requirePeers } from "../../test/peers/peers.ts";
import { freePort } from "../../test/peers/ports.ts";
import { get } from "../../test/peers/request.ts";
import { until } from "../../test/peers/until.ts";
import { AddressSchema } from "../gen/envoy/config/core/v3/address_pb.ts";
import { FilterSchema } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { createXdsServer } from "../xds/server.ts";
import { createSnapshot, createSnapshotType, encodeResource, type Snapshot } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { startAgent } from "./agent.ts";
import { gatewayNode } from "./node.ts";

/** An agent with an Envoy, and a discovery that says what the test sets. */
async function start(t: TestContext, first: Snapshot) {
  const { envoy } = await requirePeers();
  const dataDir = mkdtempSync(join(tmpdir(), "agent-"));
  const snapshot = createWatchable<Snapshot>();
  snapshot.set(first);
  const discovery = createXdsServer({ snapshotFor: () => snapshot, log: silentLog });
  const envoyStop = new AbortController();
  const rest = new AbortController();
  const xdsPort = await listenXds(discovery, "127.0.0.1", 0, rest.signal);
  const adminPort = await freePort();
  const agent = await startAgent({
    discovery: `127.0.0.1:${xdsPort}`,
    node: gatewayNode(),
    dataDir,
    bind: "127.0.0.1",
    httpPort: 0,
    insecureRegistries: [],
    registryMirrors: new Map(),
    envoy: { path: envoy, concurrency: 1, adminPort, drainMs: 0 },
    envoySignal: envoyStop.signal,
    gatewayAbi: "stock",
    incremental: true,
    log: silentLog,
    signal: rest.signal,
  });
  t.after(async () => {
    envoyStop.abort();
    await agent.stopped;
    rest.abort();
    rmSync(dataDir, { recursive: true });
  });
  const refused = () =>
    discovery.clients()[0]?.subscriptions.find(({ typeUrl }) => typeUrl === typeUrls.listener)?.rejected
      .size === 1;
  const ready = async () => (await get(agent.httpPort, "/healthz/ready")).status;
  return { adminPort, snapshot, refused, ready };
}

/** A snapshot with one listener; the one with a filter that no Envoy has is refused. */
function withListener(port: number, filters: readonly string[]): Snapshot {
  const socket = { address: "127.0.0.1", portSpecifier: { case: "portValue", value: port } } as const;
  const listener = create(ListenerSchema, {
    name: "only",
    address: create(AddressSchema, { address: { case: "socketAddress", value: socket } }),
    filterChains: [{ filters: filters.map(makeFilter) }],
  });
  const resource = encodeResource("only", ListenerSchema, listener);
  return createSnapshot([createSnapshotType(typeUrls.listener, [resource])]);
}

function makeFilter(name: string) {
  const configType = {
    case: "typedConfig",
    value: anyPack(StringValueSchema, create(StringValueSchema)),
  } as const;
  return create(FilterSchema, { name, configType });
}

test("a gateway that refused its listeners is not ready, though Envoy is; it is once it has taken them", async (t) => {
  const port = await freePort();
  const { adminPort, snapshot, refused, ready } = await start(
    t,
    withListener(port, ["filter.of.another.envoy"]),
  );
  await until("Envoy has refused the listener", refused);
  await until("Envoy is ready by its own word", async () => (await get(adminPort, "/ready")).status === 200);
  assert.equal(await ready(), 503);
  snapshot.set(withListener(port, []));
  await until("the gateway is ready", async () => (await ready()) === 200);
  snapshot.set(withListener(port, ["filter.of.another.envoy"]));
  await until("Envoy has refused the change", refused);
  assert.equal(await ready(), 200);
});

test("a gateway for which there is nothing to serve is ready", async (t) => {
  const { ready } = await start(t, createSnapshot([]));
  await until("the gateway is ready", async () => (await ready()) === 200);
});
