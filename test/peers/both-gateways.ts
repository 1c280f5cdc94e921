import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRegistry, fromJson, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { StringValueSchema } from "@bufbuild/protobuf/wkt";
import { compileCluster } from "../../src/gateway/compile-cluster.ts";
import { compileListener } from "../../src/gateway/compile-listener.ts";
import { type Gateway, type GatewayOptions, startGateway } from "../../src/gateway/gateway.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { FileAccessLogSchema } from "../../src/gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import { RouterSchema } from "../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { WasmSchema } from "../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { TlsInspectorSchema } from "../../src/gen/envoy/extensions/filters/listener/tls_inspector/v3/tls_inspector_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { DownstreamTlsContextSchema } from "../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { silentLog } from "../../src/log.ts";
import { createWatchable, type Watchable } from "../../src/watchable.ts";
import { gatewayConfig } from "./gateway-config.ts";
import { requirePeers } from "./peers.ts";
import { startProgram } from "./program.ts";
import { until } from "./until.ts";

/** A listener as both gateways get it: Envoy's JSON, where it differs from a plain one to the cluster `up`. */
export interface ListenerParts {
  /** Fields of the HTTP connection manager. */
  readonly http?: JsonObject;
  /** Fields of the listener. */
  readonly listener?: JsonObject;
  /** `common_tls_context` and the rest of a DownstreamTlsContext. */
  readonly tls?: JsonObject;
  /** Of the one virtual host. */
  readonly routes?: JsonValue;
}

/** One of the two that are compared. */
export interface TestGateway {
  readonly name: "envoy" | "embedded";
  /** The port of a listener. */
  port(listener: string): number;
  /** What the access log has by now, a line for each stream: its listener, status, details and flags. */
  log(): Promise<readonly string[]>;
  /** Ends it as SIGTERM does. */
  stop(): Promise<void>;
}

export interface EmbeddedGateway extends TestGateway {
  readonly gateway: Gateway;
  readonly config: Watchable<GatewayConfig>;
}

const type = (name: string) => `type.googleapis.com/envoy.extensions.${name}`;
const registry = createRegistry(
  HttpConnectionManagerSchema,
  RouterSchema,
  WasmSchema,
  StringValueSchema,
  TlsInspectorSchema,
  DownstreamTlsContextSchema,
  FileAccessLogSchema,
);
const catchAll: JsonValue = [{ name: "all", match: { prefix: "/" }, route: { cluster: "up" } }];

function address(port: number): JsonObject {
  return { socket_address: { address: "127.0.0.1", port_value: port } };
}

const logFormat = "%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% %RESPONSE_FLAGS%\n";

function listenerJson(
  name: string,
  { http, listener, tls, routes = catchAll }: ListenerParts,
  logFile: string,
): JsonObject {
  const access_log = {
    name: "file",
    typed_config: {
      "@type": type("access_loggers.file.v3.FileAccessLog"),
      path: logFile,
      log_format: { text_format_source: { inline_string: `${name}: ${logFormat}` } },
    },
  };
  const connection = {
    "@type": type("filters.network.http_connection_manager.v3.HttpConnectionManager"),
    stat_prefix: name,
    access_log: [access_log],
    use_remote_address: true,
    http_filters: [{ name: "router", typed_config: { "@type": type("filters.http.router.v3.Router") } }],
    route_config: { name: "routes", virtual_hosts: [{ name: "any", domains: ["*"], routes }] },
    ...http,
  };
  const transport_socket = {
    name: "tls",
    typed_config: { "@type": type("transport_sockets.tls.v3.DownstreamTlsContext"), ...tls },
  };
  const chain = { filters: [{ name: "hcm", typed_config: connection }], ...(tls && { transport_socket }) };
  return { name, address: address(0), filter_chains: [chain], ...listener };
}

function clusterJson(port: number): JsonObject {
  const endpoints = [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }];
  const load_assignment = { cluster_name: "up", endpoints };
  return { name: "up", type: "STATIC", connect_timeout: "5s", load_assignment };
}

/** Starts Envoy with listeners, each on a free port. */
export async function startEnvoyGateway(
  listeners: Readonly<Record<string, ListenerParts>>,
  upstreamPort: number,
  args: readonly string[] = [],
): Promise<TestGateway> {
  const directory = await mkdtemp(join(tmpdir(), "wasmline-"));
  const [file, adminFile, logFile] = ["envoy.json", "admin", "log"].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ];
  const resources = {
    listeners: Object.entries(listeners).map(([name, parts]) => listenerJson(name, parts, logFile)),
    clusters: [clusterJson(upstreamPort)],
  };
  await writeFile(file, JSON.stringify({ admin: { address: address(0) }, static_resources: resources }));
  const { envoy } = await requirePeers();
  const flushing = ["--file-flush-interval-msec", "10"];
  const common = [
    ...flushing,
    "-c",
    file,
    "--concurrency",
    "1",
    "--use-dynamic-base-id",
    "--admin-address-path",
    adminFile,
  ];
  const program = startProgram(envoy, [...common, "-l", process.env.ENVOY_LOG ?? "warning", ...args]);
  const adminAddress = await until(
    "Envoy's admin port",
    async () => (await readFile(adminFile, "utf8")) || undefined,
  );
  const ports = await until("Envoy's listeners", async () => {
    const ready = await fetch(`http://${adminAddress}/ready`);
    if (!ready.ok) return undefined;
    return (await (await fetch(`http://${adminAddress}/listeners?format=json`)).json()) as ListenerStatuses;
  });
  return {
    name: "envoy",
    port: (name) => {
      const status = ports.listener_statuses.find((each) => each.name === name);
      if (!status) throw new Error(`Envoy has no listener ${name}:\n${program.stderr()}`);
      return status.local_address.socket_address.port_value;
    },
    log: () => readLines(logFile),
    async stop() {
      if (process.env.ENVOY_LOG) console.error(program.stderr());
      await program.stop();
      await rm(directory, { recursive: true });
    },
  };
}

async function readLines(file: string): Promise<readonly string[]> {
  return (await readFile(file, "utf8").catch(() => "")).split("\n").filter((line) => line !== "");
}

interface ListenerStatuses {
  readonly listener_statuses: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

/** What the embedded gateway makes of the same listeners. */
export function embeddedConfig(
  listeners: Readonly<Record<string, ListenerParts>>,
  upstreamPort: number,
  logFile: string,
): GatewayConfig {
  const compiled = Object.entries(listeners).map(([name, parts]) =>
    compileListener(fromJson(ListenerSchema, listenerJson(name, parts, logFile), { registry })),
  );
  return {
    ...gatewayConfig(),
    listeners: new Map(compiled.map((listener) => [listener.name, listener])),
    clusters: new Map([["up", compileCluster(fromJson(ClusterSchema, clusterJson(upstreamPort)))]]),
  };
}

/** Starts the embedded gateway with the same. */
export async function startEmbeddedGateway(
  listeners: Readonly<Record<string, ListenerParts>>,
  upstreamPort: number,
  options: Partial<GatewayOptions> = {},
): Promise<EmbeddedGateway> {
  const directory = await mkdtemp(join(tmpdir(), "wasmline-"));
  const logFile = join(directory, "log");
  const ended = new AbortController();
  const config = createWatchable(embeddedConfig(listeners, upstreamPort, logFile));
  const gateway = startGateway({ config, log: silentLog, signal: ended.signal, drainMs: 100, ...options });
  await gateway.settled();
  return {
    name: "embedded",
    gateway,
    config,
    port: (name) => gateway.listeners.get(name)!.port,
    log: () => readLines(logFile),
    async stop() {
      ended.abort();
      await gateway.closed;
      await rm(directory, { recursive: true });
    },
  };
}
