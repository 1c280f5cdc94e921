import { setMaxListeners } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { applyResponse, emptyConfig } from "../../../src/gateway/apply-response.ts";
import { type Gateway, startGateway } from "../../../src/gateway/gateway.ts";
import { ClusterSchema } from "../../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { ListenerSchema } from "../../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { silentLog } from "../../../src/log.ts";
import { createWatchable } from "../../../src/watchable.ts";
import type { SnapshotResource } from "../../../src/xds/snapshot.ts";
import { requirePeers } from "../peers.ts";
import { type Program, startProgram } from "../program.ts";
import { until } from "../until.ts";
import { createClient, type TestAnswer, type TestRequest } from "./ask.ts";
import { resourceOf } from "./envoy-messages.ts";
import { type NotedRequest, startNotingUpstream, type UpstreamAnswer } from "./noting-upstream.ts";

/** What both gateways are given, in Envoy's JSON. */
export interface TwinsOptions {
  /** The HTTP connection managers, each with a listener of its own. */
  readonly connections: readonly JsonObject[];
  /** Names of clusters, each with a noting upstream. */
  readonly upstreams?: readonly string[];
  /** Whether trailers pass between the gateways and the upstreams. */
  readonly trailers?: boolean;
  /** Clusters besides, by their JSON. */
  readonly clusters?: readonly JsonObject[];
  /** TypedExtensionConfigs, for what listeners ask for by config_discovery. */
  readonly extensionConfigs?: readonly JsonObject[];
}

/** What a request came to: what the client got, and what the upstreams were asked. */
export interface Exchange {
  readonly answer: TestAnswer;
  readonly upstream: readonly NotedRequest[];
}

export type Side = "envoy" | "gateway";

/** A real Envoy and the embedded gateway with the same configuration, before the same upstreams. */
export interface Twins {
  /** Sends a request to both, one after the other. */
  exchange(connection: number, request: TestRequest): Promise<Readonly<Record<Side, Exchange>>>;
  /** What upstreams answer from now on. */
  setAnswer(answer: UpstreamAnswer, upstream?: string): void;
  readonly directory: string;
  readonly gateway: Gateway;
  readonly upstreamPorts: ReadonlyMap<string, number>;
  portOf(side: Side, connection: number): number;
  /** A page of Envoy's admin interface. */
  envoyPage(path: string): Promise<string>;
  close(): Promise<void>;
}

const loopback = { socket_address: { address: "127.0.0.1", port_value: 0 } };

export async function startTwins(options: TwinsOptions): Promise<Twins> {
  const directory = await mkdtemp(join(tmpdir(), "twins-"));
  const names = options.upstreams ?? ["up"];
  const upstreams = new Map(
    await Promise.all(names.map(async (name) => [name, await startNotingUpstream(name)] as const)),
  );
  const clusters = [
    ...[...upstreams].map(([name, { port }]) => clusterJson(name, port, options.trailers)),
    ...(options.clusters ?? []),
  ];
  const ended = new AbortController();
  setMaxListeners(0, ended.signal);
  const gateway = startEmbedded(options, clusters, directory, ended.signal);
  const closeOwn = async () => {
    ended.abort();
    for (const upstream of upstreams.values()) upstream.close();
    await gateway.closed;
    await rm(directory, { recursive: true, force: true });
  };
  const envoy = await startRealEnvoy(options, clusters, directory).catch(async (error: unknown) => {
    // Or else the test would say nothing, since its gateway goes on.
    await closeOwn();
    throw error;
  });
  await gateway.settled();
  const client = createClient();
  const portOf = (side: Side, connection: number) =>
    side === "envoy"
      ? envoy.ports.get(`${connection}`)!
      : (gateway.listeners.get(`${connection}`)?.port ?? 0);
  const takeNoted = () => [...upstreams.values()].flatMap((each) => each.take());
  const exchangeAt = async (port: number, request: TestRequest): Promise<Exchange> => ({
    answer: await client.ask(port, request),
    upstream: takeNoted(),
  });
  return {
    directory,
    gateway,
    upstreamPorts: new Map([...upstreams].map(([name, { port }]) => [name, port])),
    portOf,
    async exchange(connection, request) {
      return {
        envoy: await exchangeAt(portOf("envoy", connection), request),
        gateway: await exchangeAt(portOf("gateway", connection), request),
      };
    },
    setAnswer(answer, upstream = "up") {
      upstreams.get(upstream)!.answer = answer;
    },
    envoyPage: async (path) => (await fetch(`http://${envoy.admin}${path}`)).text(),
    async close() {
      client.close();
      await envoy.program.stop("SIGKILL");
      await closeOwn();
    },
  };
}

const protocolOptions = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const withTrailers: JsonObject = {
  [protocolOptions]: {
    "@type": `type.googleapis.com/${protocolOptions}`,
    explicit_http_config: { http_protocol_options: { enable_trailers: true } },
  },
};

export function clusterJson(name: string, port: number, enable_trailers = false): JsonObject {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const endpoints = [{ lb_endpoints: [{ endpoint: { address } }] }];
  return {
    name,
    type: "STATIC",
    connect_timeout: "2s",
    load_assignment: { cluster_name: name, endpoints },
    ...(enable_trailers ? { typed_extension_protocol_options: withTrailers } : {}),
  };
}

const managerType =
  "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/** A listener for each connection manager; where extension configurations come from is up to the side. */
function listenersFor({ connections }: TwinsOptions, side: OfSide): JsonObject[] {
  return connections.map((connection, index) => {
    const typed_config = forSide(
      { "@type": managerType, stat_prefix: "http", delayed_close_timeout: "0.1s", ...connection },
      side,
    );
    return {
      name: `${index}`,
      address: loopback,
      filter_chains: [{ filters: [{ name: "http", typed_config }] }],
    };
  });
}

/** What differs in the configurations of the two. */
interface OfSide {
  /** Where the configuration of a filter comes from. */
  source(name: string): JsonObject;
  /** In the place of `{logs}`. */
  readonly logs: string;
}

function forSide(value: JsonValue, side: OfSide): JsonValue {
  if (Array.isArray(value)) return value.map((item) => forSide(item, side));
  if (typeof value === "string") return value.replace("{logs}", side.logs);
  if (typeof value !== "object" || value === null) return value;
  const own = value.config_discovery as JsonObject | undefined;
  const entries = Object.entries(value).map(([key, item]) => [key, forSide(item, side)]);
  const made = Object.fromEntries(entries) as JsonObject;
  if (!own) return made;
  return { ...made, config_discovery: { ...own, config_source: side.source(String(value.name)) } };
}

function slotNames({ connections }: TwinsOptions): string[] {
  const names: string[] = [];
  const note = (name: string) => {
    names.push(name);
    return {};
  };
  for (const connection of connections) forSide(connection, { source: note, logs: "" });
  return names;
}

function startEmbedded(
  options: TwinsOptions,
  clusters: readonly JsonObject[],
  directory: string,
  signal: AbortSignal,
): Gateway {
  const listeners = listenersFor(options, {
    source: () => ({ ads: {}, resource_api_version: "V3" }),
    logs: join(directory, "gateway"),
  });
  let config = emptyConfig;
  const apply = (changed: SnapshotResource[]) => {
    if (changed.length === 0) return;
    const applied = applyResponse(config, { typeUrl: changed[0]!.typeUrl, changed, removed: [] });
    if (applied.errors.size > 0)
      throw new Error(
        `the gateway refused: ${[...applied.errors].map((each) => each.join(": ")).join("; ")}`,
      );
    config = applied.config;
  };
  apply(clusters.map((each) => resourceOf(ClusterSchema, each)));
  apply(listeners.map((each) => resourceOf(ListenerSchema, each)));
  apply((options.extensionConfigs ?? []).map((each) => resourceOf(TypedExtensionConfigSchema, each)));
  return startGateway({ config: createWatchable(config), log: silentLog, signal, drainMs: 100 });
}

interface RealEnvoy {
  readonly program: Program;
  readonly admin: string;
  readonly ports: ReadonlyMap<string, number>;
}

async function startRealEnvoy(
  options: TwinsOptions,
  clusters: readonly JsonObject[],
  directory: string,
): Promise<RealEnvoy> {
  const file = (name: string) => join(directory, name);
  const pathOf = (name: string) => file(`ecds-${name}.json`);
  const source = (name: string) => ({
    path_config_source: { path: pathOf(name) },
    resource_api_version: "V3",
  });
  // A file for each: Envoy takes one resource of a file.
  for (const name of slotNames(options)) {
    const resources = (options.extensionConfigs ?? [])
      .filter((each) => each.name === name)
      .map((each) => ({ "@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", ...each }));
    await writeFile(pathOf(name), JSON.stringify({ version_info: "1", resources }));
  }
  const bootstrap = {
    node: { id: "twin", cluster: "twins" },
    admin: { address: loopback },
    static_resources: { listeners: listenersFor(options, { source, logs: file("envoy") }), clusters },
  };
  await writeFile(file("envoy.json"), JSON.stringify(bootstrap));
  const { envoy } = await requirePeers();
  const program = startProgram(envoy, [
    ...["-c", file("envoy.json"), "--concurrency", "1", "--disable-hot-restart"],
    ...["--admin-address-path", file("admin"), "-l", "warning", "--file-flush-interval-msec", "20"],
  ]);
  const started = until(
    "Envoy is live",
    () => listeningPorts(file("admin"), options.connections.length),
    60_000,
  );
  const { admin, ports } = await Promise.race([
    started,
    program.ended.then((): never => {
      throw new Error(`Envoy ended: ${program.stderr().slice(-3000)}`);
    }),
  ]);
  return { program, admin, ports };
}

interface ListenerStatus {
  readonly name: string;
  readonly local_address: { readonly socket_address: { readonly port_value: number } };
}

async function listeningPorts(file: string, count: number) {
  const admin = (await readFile(file, "utf8")).trim();
  const ready = await (await fetch(`http://${admin}/ready`)).text();
  const { listener_statuses: all = [] } = (await (
    await fetch(`http://${admin}/listeners?format=json`)
  ).json()) as { readonly listener_statuses?: readonly ListenerStatus[] };
  if (!ready.startsWith("LIVE") || all.length < count) return undefined;
  const ports = new Map(all.map((each) => [each.name, each.local_address.socket_address.port_value]));
  return { admin, ports };
}
