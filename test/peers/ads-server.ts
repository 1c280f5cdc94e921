import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { create } from "@bufbuild/protobuf";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { startEnvoy } from "../../src/agent/start-envoy.ts";
import { emptyConfig } from "../../src/gateway/apply-response.ts";
import { followAgent } from "../../src/gateway/follow-agent.ts";
import { type Gateway, type GatewayOptions, startGateway } from "../../src/gateway/gateway.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { silentLog } from "../../src/log.ts";
import { createWatchable } from "../../src/watchable.ts";
import { grpcOptions } from "../../src/xds/ads.ts";
import { createXdsServer } from "../../src/xds/server.ts";
import {
  createSnapshot,
  createSnapshotType,
  type Snapshot,
  type SnapshotResource,
} from "../../src/xds/snapshot.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";
import { requirePeers } from "./peers.ts";
import { freePort } from "./ports.ts";
import { until } from "./until.ts";

type Kind = "cluster" | "listener" | "extensionConfig" | "secret";

/** What a server of ADS gives, by type. */
export type Resources = Partial<Record<Kind, readonly SnapshotResource[]>>;

/** A real server of ADS in the place of an agent, for one gateway. */
export interface AdsServer {
  /** 0 on a unix socket. */
  readonly port: number;
  /** Changes the resources of some types. */
  set(changes: Resources): void;
  /** By resource why the gateway refuses it. */
  refused(kind: Kind): ReadonlyMap<string, string>;
  /** Resolves when the gateway has answered for all resources of the types that it asks for. */
  answered(): Promise<void>;
  close(): void;
}

/** Starts a server that ends with the test. */
export async function startAdsServer(context: TestContext, first: Resources): Promise<AdsServer> {
  const server = await openAdsServer("127.0.0.1:0", first);
  context.after(() => server.close());
  return server;
}

/** Starts a server at an address as gRPC writes it. */
export async function openAdsServer(address: string, first: Resources): Promise<AdsServer> {
  const snapshot = createWatchable<Snapshot>();
  const server = createXdsServer({ snapshotFor: () => snapshot, log: silentLog });
  const rpc = new Server(grpcOptions);
  rpc.addService(server.definition, server.implementation);
  const port = await new Promise<number>((resolve, reject) => {
    rpc.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    );
  });
  let resources: Resources = {};
  const set = (changes: Resources) => {
    resources = { ...resources, ...changes };
    const kinds = Object.entries(resources) as [Kind, readonly SnapshotResource[]][];
    snapshot.set(createSnapshot(kinds.map(([kind, all]) => createSnapshotType(typeUrls[kind], all))));
  };
  set(first);
  const subscriptions = () => server.clients()[0]?.subscriptions ?? [];
  return {
    port,
    set,
    refused(kind) {
      const rejected = subscriptions().find(({ typeUrl }) => typeUrl === typeUrls[kind])?.rejected ?? [];
      return new Map([...rejected].map(([name, { error }]) => [name, error]));
    },
    async answered() {
      await until("all is answered", () => {
        const all = subscriptions();
        const isAnswered = all.every(
          ({ typeUrl, synced, pending }) =>
            pending.size === 0 && (!synced || synced === snapshot.value?.get(typeUrl)),
        );
        return all.length > 0 && isAnswered;
      });
    },
    close: () => rpc.forceShutdown(),
  };
}

/** Starts an embedded gateway that takes its configuration from a server, until the test ends. */
export function followWithGateway(
  context: TestContext,
  port: number,
  options: Partial<GatewayOptions> = {},
): Gateway {
  const ended = new AbortController();
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const gateway = startGateway({ config, log: silentLog, signal: ended.signal, drainMs: 100, ...options });
  const node = create(NodeSchema, { id: "embedded", cluster: "test" });
  const target = `127.0.0.1:${port}`;
  const { preparers } = gateway;
  followAgent({ target, node, config, preparers, signal: ended.signal, log: silentLog });
  context.after(() => {
    ended.abort();
    return gateway.closed;
  });
  return gateway;
}

/** Starts an Envoy that takes its configuration from a server, until the test ends. */
export async function followWithEnvoy(context: TestContext, port: number): Promise<void> {
  const { envoy } = await requirePeers();
  const directory = await mkdtemp(join(tmpdir(), "envoy-"));
  const bootstrapPath = join(directory, "bootstrap.json");
  await writeFile(bootstrapPath, JSON.stringify(bootstrap(port, await freePort())));
  const running = await startEnvoy({ envoyPath: envoy, bootstrapPath, concurrency: 1, log: silentLog });
  context.after(async () => {
    running.kill("SIGKILL");
    await running.ended;
    await rm(directory, { recursive: true });
  });
}

function bootstrap(port: number, adminPort: number) {
  const address = (at: number) => ({ socket_address: { address: "127.0.0.1", port_value: at } });
  const server = {
    name: "ads",
    type: "STATIC",
    typed_extension_protocol_options: {
      "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        explicit_http_config: { http2_protocol_options: {} },
      },
    },
    load_assignment: {
      cluster_name: "ads",
      endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }],
    },
  };
  const ads = {
    api_type: "DELTA_GRPC",
    transport_api_version: "V3",
    grpc_services: [{ envoy_grpc: { cluster_name: "ads" } }],
  };
  const fromAds = { ads: {}, resource_api_version: "V3" };
  return {
    node: { id: "envoy", cluster: "test" },
    admin: { address: address(adminPort) },
    dynamic_resources: { ads_config: ads, cds_config: fromAds, lds_config: fromAds },
    static_resources: { clusters: [server] },
  };
}
