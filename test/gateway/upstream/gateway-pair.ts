import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { BlockList } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRegistry, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { compileCluster } from "../../../src/gateway/compile-cluster.ts";
import { compileRoutes } from "../../../src/gateway/compile-routes.ts";
import { parseFormat } from "../../../src/gateway/format.ts";
import { startGateway } from "../../../src/gateway/gateway.ts";
import { ClusterSchema } from "../../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { RouteConfigurationSchema } from "../../../src/gen/envoy/config/route/v3/route_pb.ts";
import { UpstreamTlsContextSchema } from "../../../src/gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { HttpProtocolOptionsSchema } from "../../../src/gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import { silentLog } from "../../../src/log.ts";
import { createWatchable } from "../../../src/watchable.ts";
import { gatewayConfig } from "../../peers/gateway-config.ts";
import { requirePeers } from "../../peers/peers.ts";
import { freePort } from "../../peers/ports.ts";
import { startProgram } from "../../peers/program.ts";
import { until } from "../../peers/until.ts";

/** Where traffic goes, as Envoy's JSON. */
export interface Traffic {
  readonly clusters: readonly JsonObject[];
  readonly virtualHosts: readonly JsonObject[];
}

/** A gateway, this one or a real Envoy, that serves a traffic's routes. */
export interface TestedGateway {
  readonly port: number;
  /** The line of a stream in the access log, by its `x-case` header. */
  logOf(id: string): Promise<string>;
  stop(): Promise<void>;
}

const operators = [
  "REQ(X-CASE)",
  "RESPONSE_CODE",
  "RESPONSE_FLAGS",
  "RESPONSE_CODE_DETAILS",
  "UPSTREAM_REQUEST_ATTEMPT_COUNT",
  "UPSTREAM_PROTOCOL",
];
const logFormat = `${operators.map((each) => `%${each}%`).join(" ")}\n`;

async function findLine(file: string, id: string): Promise<string> {
  const line = await until(`a log line of ${id}`, async () => {
    const text = await readFile(file, "latin1");
    return text.split("\n").find((each) => each.startsWith(`${id} `));
  });
  // Numbers of BoringSSL's, which only it has.
  return line.slice(id.length + 1).replace(/TLS_error:\|\d+:/, "TLS_error:|");
}

const routeConfig = ({ virtualHosts }: Traffic): JsonObject => ({
  name: "routes",
  virtual_hosts: [...virtualHosts],
});

export async function startTestedEnvoy(traffic: Traffic): Promise<TestedGateway> {
  const directory = await mkdtemp(join(tmpdir(), "wasmline-upstream-"));
  await mkdir(directory, { recursive: true });
  const log = join(directory, "log");
  const port = await freePort();
  const config = join(directory, "envoy.json");
  await writeFile(config, JSON.stringify(bootstrap(traffic, port, log)));
  const { envoy } = await requirePeers();
  const flags = ["--concurrency", "1", "--disable-hot-restart", "--file-flush-interval-msec", "10"];
  const program = startProgram(envoy, ["-c", config, ...flags]);
  await program.waitFor("stderr", /starting main dispatch loop/);
  return {
    port,
    logOf: (id) => findLine(log, id),
    async stop() {
      await program.stop("SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function bootstrap(traffic: Traffic, port: number, path: string): JsonObject {
  const typed = (name: string, fields: JsonObject): JsonObject => ({
    "@type": `type.googleapis.com/envoy.extensions.${name}`,
    ...fields,
  });
  const log = typed("access_loggers.file.v3.FileAccessLog", {
    path,
    log_format: { text_format_source: { inline_string: logFormat } },
  });
  const manager = typed("filters.network.http_connection_manager.v3.HttpConnectionManager", {
    stat_prefix: "test",
    access_log: [{ name: "log", typed_config: log }],
    internal_address_config: { cidr_ranges: [{ address_prefix: "127.0.0.0", prefix_len: 8 }] },
    stream_idle_timeout: "0s",
    upgrade_configs: [{ upgrade_type: "websocket" }],
    http_filters: [{ name: "router", typed_config: typed("filters.http.router.v3.Router", {}) }],
    route_config: routeConfig(traffic),
  });
  const listener: JsonObject = {
    name: "test",
    address: { socket_address: { address: "127.0.0.1", port_value: port } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  return { static_resources: { listeners: [listener], clusters: [...traffic.clusters] } };
}

const registry = createRegistry(HttpProtocolOptionsSchema, UpstreamTlsContextSchema);

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8);

export async function startTestedGateway(traffic: Traffic): Promise<TestedGateway> {
  const directory = await mkdtemp(join(tmpdir(), "wasmline-upstream-"));
  const path = join(directory, "log");
  const table = compileRoutes(fromJson(RouteConfigurationSchema, withoutPredicates(routeConfig(traffic))));
  const config = gatewayConfig({
    clusters: traffic.clusters.map((each) => compileCluster(fromJson(ClusterSchema, each, { registry }))),
    http: {
      routes: { kind: "table", table },
      useRemoteAddress: false,
      internalAddresses: loopback,
      normalizePath: false,
      accessLogs: [
        {
          to: { kind: "file", path },
          format: { kind: "text", format: parseFormat(logFormat) },
          missing: "-",
        },
      ],
    },
  });
  const ended = new AbortController();
  const gateway = startGateway({
    config: createWatchable(config),
    log: silentLog,
    signal: ended.signal,
    drainMs: 100,
  });
  await gateway.settled();
  return {
    port: gateway.listeners.get("test")!.port,
    logOf: (id) => findLine(path, id),
    async stop() {
      ended.abort();
      await gateway.closed;
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** A predicate is known by its name; there is nothing in its message. */
function withoutPredicates(value: JsonObject): JsonObject {
  const replace = (key: string, item: unknown) =>
    key === "retry_host_predicate" ? (item as readonly JsonObject[]).map(({ name }) => ({ name })) : item;
  return JSON.parse(JSON.stringify(value, replace));
}

export interface SentRequest {
  readonly method?: string;
  readonly path: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** What a client got. */
export interface Outcome {
  readonly status: number | string;
  readonly informational: readonly number[];
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

const varying = /^(date|x-envoy-upstream-service-time|server|connection|keep-alive)$/i;

export function ask(port: number, host: string, id: string, sent: SentRequest): Promise<Outcome> {
  const { method = "GET", path, headers = {}, body } = sent;
  return new Promise((resolve) => {
    const informational: number[] = [];
    const failed = (status: string) =>
      resolve({ status, informational, headers: [], body: "", trailers: [] });
    const client = request(
      { host: "127.0.0.1", port, method, path, agent: false, headers: { host, "x-case": id, ...headers } },
      (response) => {
        let text = "";
        response.on("data", (bytes) => {
          text += bytes;
        });
        response.on("error", () => {});
        response.on("close", () =>
          resolve({
            status: response.complete ? response.statusCode! : `${response.statusCode} cut`,
            informational,
            headers: pairs(response.rawHeaders).sort(),
            body: text,
            trailers: pairs(response.rawTrailers),
          }),
        );
      },
    );
    client.on("information", ({ statusCode }) => informational.push(statusCode));
    client.on("error", (error: NodeJS.ErrnoException) => failed(error.code ?? "error"));
    client.end(body);
  });
}

function pairs(raw: readonly string[]): string[] {
  const all: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2)
    if (!varying.test(raw[i]!)) all.push(`${raw[i]!.toLowerCase()}: ${raw[i + 1]}`);
  return all;
}
