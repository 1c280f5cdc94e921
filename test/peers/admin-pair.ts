import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type DescMessage, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { envoyBootstrap } from "../../src/agent/envoy-bootstrap.ts";
import { gatewayNode } from "../../src/agent/node.ts";
import { serveAdmin } from "../../src/gateway/admin.ts";
import { emptyConfig } from "../../src/gateway/apply-response.ts";
import { followAgent } from "../../src/gateway/follow-agent.ts";
import { type Gateway, startGateway } from "../../src/gateway/gateway.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { SecretSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { silentLog } from "../../src/log.ts";
import { createWatchable, type Watchable } from "../../src/watchable.ts";
import { envoyTypes } from "../../src/xds/envoy-json.ts";
import { listenXds } from "../../src/xds/listen.ts";
import { createXdsServer } from "../../src/xds/server.ts";
import {
  createSnapshot,
  createSnapshotType,
  encodeResource,
  type Snapshot,
  type SnapshotResource,
} from "../../src/xds/snapshot.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";
import { buildGuest } from "../guests/build-guests.ts";
import { makeCertificate } from "./certificate.ts";
import { requirePeers } from "./peers.ts";
import { freePort } from "./ports.ts";
import { startProgram } from "./program.ts";

/** Where a proxy of the pair listens. */
export interface PairPorts {
  readonly plain: number;
  readonly secure: number;
}

/** One proxy of the pair. */
export interface PairSide {
  readonly admin: number;
  readonly ports: PairPorts;
}

export interface PairOptions {
  readonly upstreamPort: number;
  readonly deadPort: number;
}

/** An Envoy and a gateway that follow one server of ADS, which gives them the same but for their ports. */
export interface AdminPair {
  readonly envoy: PairSide;
  readonly gateway: PairSide;
  /** Of the certificate, in PEM. */
  readonly key: string;
  /** Sends both a listener that neither takes. */
  breakListener(): void;
  /** Sends both another host for which the plugin answers 418. */
  editPlugin(host: string): void;
  close(): Promise<void>;
}

const gatewayId = "embedded";

export async function startAdminPair(options: PairOptions): Promise<AdminPair> {
  const { envoy } = await requirePeers();
  await buildGuest("probe-0-2-1");
  const directory = await mkdtemp(join(tmpdir(), "wasmline-admin-"));
  const { certificate, key } = makeCertificate(directory, "pair");
  const pem = { certificate: await readFile(certificate), key: await readFile(key) };
  const ended = new AbortController();
  const [first, second] = [await freePorts(), await freePorts()];
  const parts = { ...options, pem, plugin: teapotFor("tea.com"), broken: false };
  const snapshots = [first, second].map((ports) => ({
    ports,
    value: createWatchable(snapshotOf(parts, ports)),
  }));
  const [ofEnvoy, ofGateway] = snapshots as [ServedSnapshot, ServedSnapshot];
  const publish = (changes: Partial<SnapshotParts>) => {
    Object.assign(parts, changes);
    for (const { ports, value } of snapshots) value.set(snapshotOf(parts, ports));
  };
  const server = createXdsServer({
    snapshotFor: ({ id }) => (id === gatewayId ? ofGateway.value : ofEnvoy.value),
    log: silentLog,
  });
  const adsPort = await listenXds(server, "127.0.0.1", 0, ended.signal);
  const admin = await freePort();
  const file = join(directory, "envoy.json");
  await writeFile(file, JSON.stringify(bootstrap(admin, adsPort)));
  const args = ["-c", file, "--concurrency", "1", "--use-dynamic-base-id", "-l", "warn"];
  const program = startProgram(envoy, args);
  const target = `127.0.0.1:${adsPort}`;
  const embedded = await startEmbedded(target, ended.signal);
  return {
    envoy: { admin, ports: first },
    gateway: { admin: embedded.admin, ports: second },
    key: pem.key.toString(),
    breakListener: () => publish({ broken: true }),
    editPlugin: (host) => publish({ plugin: teapotFor(host) }),
    async close() {
      ended.abort();
      await embedded.gateway.closed;
      await program.stop();
      await rm(directory, { recursive: true });
    },
  };
}

async function startEmbedded(
  target: string,
  signal: AbortSignal,
): Promise<{ gateway: Gateway; admin: number }> {
  const node = { ...gatewayNode(), id: gatewayId };
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const gateway = startGateway({ config, log: silentLog, signal, drainMs: 100 });
  let connected = false;
  const isConnected = () => connected;
  const own = { bind: "127.0.0.1", port: 0, version: "1.2.3", node, signal };
  const admin = await serveAdmin({ gateway, config, ...own, isConnected, onQuit: () => {} });
  const onConnected = (isThere: boolean) => {
    connected = isThere;
  };
  const message = fromJson(NodeSchema, node as unknown as JsonValue);
  followAgent({
    target,
    node: message,
    config,
    preparers: gateway.preparers,
    signal,
    log: silentLog,
    onConnected,
  });
  return { gateway, admin };
}

interface ServedSnapshot {
  readonly ports: PairPorts;
  readonly value: Watchable<Snapshot>;
}

async function freePorts(): Promise<PairPorts> {
  return { plain: await freePort(), secure: await freePort() };
}

/** Envoy's bootstrap behind an agent, with a TCP address in the place of the agent's socket. */
function bootstrap(adminPort: number, adsPort: number): JsonValue {
  const options = { node: gatewayNode(), xdsSocket: "", adminAddress: "127.0.0.1", adminPort, delta: true };
  const text = JSON.stringify(envoyBootstrap(options));
  return JSON.parse(text.replace('{"pipe":{"path":""}}', JSON.stringify(address(adsPort)))) as JsonValue;
}

interface SnapshotParts extends PairOptions {
  readonly pem: { readonly certificate: Buffer; readonly key: Buffer };
  /** Configuration of the plugin. */
  readonly plugin: string;
  readonly broken: boolean;
}

function snapshotOf(parts: SnapshotParts, ports: PairPorts): Snapshot {
  const { upstreamPort, deadPort, pem, plugin, broken } = parts;
  const types: readonly (readonly [string, readonly SnapshotResource[]])[] = [
    [typeUrls.cluster, [staticCluster("dead", deadPort), edsCluster("up")]],
    [typeUrls.endpoints, [assignment("up", upstreamPort)]],
    [typeUrls.secret, [secret("pair", pem)]],
    [typeUrls.extensionConfig, [extension("plugin", teapot, plugin), extension("meter", meter, metering)]],
    [
      typeUrls.listener,
      [
        listener("plain", ports.plain, broken ? "no.such.network.filter" : undefined),
        listener("secure", ports.secure, undefined, "pair"),
      ],
    ],
    [typeUrls.routes, [routes("routes")]],
  ];
  return createSnapshot(types.map(([typeUrl, resources]) => createSnapshotType(typeUrl, resources)));
}

function resource<D extends DescMessage>(schema: D, name: string, json: JsonValue): SnapshotResource {
  return encodeResource(name, schema, fromJson(schema, json, { registry: envoyTypes }));
}

const ads = { ads: {}, resource_api_version: "V3" };
const any = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;

function address(port: number): JsonObject {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

const limits = { max_connections: 11, max_pending_requests: 12, max_requests: 13, max_retries: 4 };

function staticCluster(name: string, port: number): SnapshotResource {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }];
  return resource(ClusterSchema, name, {
    name,
    type: "STATIC",
    connect_timeout: "2s",
    circuit_breakers: { thresholds: [limits] },
    outlier_detection: { consecutive_5xx: 50 },
    load_assignment: { cluster_name: name, endpoints },
  });
}

function edsCluster(name: string): SnapshotResource {
  const eds_cluster_config = { eds_config: ads };
  return resource(ClusterSchema, name, { name, type: "EDS", connect_timeout: "2s", eds_cluster_config });
}

function assignment(name: string, port: number): SnapshotResource {
  return resource(ClusterLoadAssignmentSchema, name, {
    cluster_name: name,
    endpoints: [
      {
        locality: { region: "earth", zone: "a", sub_zone: "b" },
        lb_endpoints: [{ endpoint: { address: address(port), hostname: "up.local" } }],
      },
    ],
  });
}

function secret(name: string, { certificate, key }: SnapshotParts["pem"]): SnapshotResource {
  const tls_certificate = {
    certificate_chain: { inline_bytes: certificate.toString("base64") },
    private_key: { inline_bytes: key.toString("base64") },
  };
  return resource(SecretSchema, name, { name, tls_certificate });
}

function teapotFor(host: string): string {
  return JSON.stringify({ _rules_: [{ _match_domain_: [host], status_code: 418 }] });
}

const built = (path: string) => fileURLToPath(new URL(`../../build/${path}.wasm`, import.meta.url));
const teapot = built("plugins/custom-response");
const meter = built("guests/probe-0-2-1");

/** Of each kind of metric one, for each request. */
const metering = JSON.stringify({
  on_request_headers: [
    ...[
      "define_metric, 0, pair.requests",
      "define_metric, 1, pair_level",
      "define_metric, 2, pair_times",
    ].flatMap((call, kind) => [
      call.split(", ").map((part) => (/^\d$/.test(part) ? Number(part) : part)),
      ["keep", `m${kind}`],
    ]),
    ["increment_metric", "$m0", 2],
    ["record_metric", "$m1", 40],
    ["record_metric", "$m2", 7],
  ],
});

function extension(name: string, filename: string, configuration: string): SnapshotResource {
  return resource(TypedExtensionConfigSchema, name, {
    name,
    typed_config: {
      "@type": any("filters.http.wasm.v3.Wasm"),
      config: {
        name,
        configuration: { "@type": "type.googleapis.com/google.protobuf.StringValue", value: configuration },
        vm_config: { runtime: "envoy.wasm.runtime.v8", code: { local: { filename } } },
      },
    },
  });
}

function listener(name: string, port: number, filter?: string, certificate?: string): SnapshotResource {
  const transport_socket = certificate && {
    name: "envoy.transport_sockets.tls",
    typed_config: {
      "@type": any("transport_sockets.tls.v3.DownstreamTlsContext"),
      common_tls_context: {
        alpn_protocols: ["h2", "http/1.1"],
        tls_certificate_sds_secret_configs: [{ name: certificate, sds_config: ads }],
      },
    },
  };
  const hcm = {
    name: filter ?? "envoy.filters.network.http_connection_manager",
    typed_config: connection(name),
  };
  return resource(ListenerSchema, name, {
    name,
    address: address(port),
    filter_chains: [
      {
        filters: filter ? [{ ...hcm, typed_config: broken }] : [hcm],
        ...(transport_socket && { transport_socket }),
      },
    ],
  });
}

/** A message that is no network filter. */
const broken = { "@type": any("filters.http.router.v3.Router") };

function connection(name: string): JsonObject {
  const type_urls = [any("filters.http.wasm.v3.Wasm")];
  return {
    "@type": any("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: name,
    rds: { config_source: ads, route_config_name: "routes" },
    http_filters: [
      { name: "plugin", config_discovery: { config_source: ads, type_urls } },
      { name: "meter", config_discovery: { config_source: ads, type_urls } },
      {
        name: "envoy.filters.http.router",
        typed_config: { "@type": any("filters.http.router.v3.Router") },
      },
    ],
  };
}

function routes(name: string): SnapshotResource {
  const entry = (prefix: string, action: JsonObject) => ({ match: { prefix }, ...action });
  const virtual_hosts = [
    {
      name: "any",
      domains: ["example.com"],
      routes: [
        entry("/dead", { route: { cluster: "dead" } }),
        entry("/direct", { direct_response: { status: 201, body: { inline_string: "made here" } } }),
        entry("/redirect", { redirect: { path_redirect: "/elsewhere" } }),
        entry("/", {
          route: { cluster: "up", timeout: "0.5s", retry_policy: { retry_on: "5xx", num_retries: 1 } },
        }),
      ],
    },
  ];
  return resource(RouteConfigurationSchema, name, { name, virtual_hosts });
}
