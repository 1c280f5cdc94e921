// Simulated gateways: incremental ADS streams that subscribe as an Envoy does (clusters and listeners, and then what these
// name: endpoints, routes, ECDS resources) and acknowledge everything. Run by bench/many-gateways.ts.
//   node --import tsx bench/gateway-clients.ts '{"address": …, "from": 0, "count": 500, …}'
// Prints {"synced": …} when every gateway has all that it asked for, and for each line on stdin, when every gateway has had
// one more resource, what came. Times are epoch ms.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { create, fromBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { type ClientDuplexStream, credentials, Metadata, makeGenericClientConstructor } from "@grpc/grpc-js";
import { defaultLabels, gatewayNode } from "../src/agent/node.ts";
import { NodeSchema } from "../src/gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { HttpConnectionManagerSchema } from "../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { adsDefinition, grpcOptions, passThroughDefinition } from "../src/xds/ads.ts";
import { backoffMs } from "../src/xds/client.ts";
import { ownAgent } from "../src/xds/own-agent.ts";
import { typeUrls } from "../src/xds/type-urls.ts";

export interface ClientsOptions {
  readonly address: string;
  readonly from: number;
  readonly count: number;
  /** `shared`: all the same. `unique`: each has one of its own besides, as pods have. */
  readonly labels: "shared" | "unique";
  /** TLS with this authority; plaintext unless given. */
  readonly caFile?: string;
  /** A JSON list of tokens, one for each gateway. */
  readonly tokensFile?: string;
}

const options = JSON.parse(process.argv[2]!) as ClientsOptions;
const { address, from, count, labels, caFile, tokensFile } = options;
const tokens = tokensFile ? (JSON.parse(readFileSync(tokensFile, "utf8")) as string[]) : [];
const authority = caFile ? readFileSync(caFile) : undefined;
const Client = makeGenericClientConstructor(passThroughDefinition, "Ads");
const encode = adsDefinition.deltaAggregatedResources.requestSerialize;
const now = () => performance.timeOrigin + performance.now();

interface Scanned {
  typeUrl: string;
  nonce: string;
  readonly resources: { name: string; value: Uint8Array }[];
}

/** Reads what is needed of a DeltaDiscoveryResponse. */
function scan(bytes: Buffer): Scanned {
  const found: Scanned = { typeUrl: "", nonce: "", resources: [] };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 2) found.resources.push(scanResource(reader.bytes()));
    else if (field === 4) found.typeUrl = reader.string();
    else if (field === 5) found.nonce = reader.string();
    else reader.skip(type, field);
  }
  return found;
}

function scanResource(bytes: Uint8Array): Scanned["resources"][number] {
  const found: Scanned["resources"][number] = { name: "", value: new Uint8Array() };
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 3) found.name = reader.string();
    else if (field === 2) found.value = reader.bytes();
    else reader.skip(type, field);
  }
  return found;
}

interface Named {
  readonly routes: readonly string[];
  readonly extensions: readonly string[];
}
const named = new Map<string, Named>();

/** What a listener refers to; decoded once for all gateways. */
function namesIn(any: Uint8Array): Named {
  const key = Buffer.from(any).toString("latin1");
  const known = named.get(key);
  if (known) return known;
  const reader = new BinaryReader(any);
  let value = new Uint8Array();
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 2) value = new Uint8Array(reader.bytes());
    else reader.skip(type, field);
  }
  const managers = fromBinary(ListenerSchema, value)
    .filterChains.flatMap(({ filters }) => filters)
    .flatMap(({ configType }) => (configType.case === "typedConfig" ? [configType.value.value] : []))
    .map((bytes) => fromBinary(HttpConnectionManagerSchema, bytes));
  const found = {
    routes: managers.flatMap(({ routeSpecifier }) =>
      routeSpecifier.case === "rds" ? [routeSpecifier.value.routeConfigName] : [],
    ),
    extensions: managers.flatMap(({ httpFilters }) =>
      httpFilters.flatMap(({ name, configType }) => (configType.case === "configDiscovery" ? [name] : [])),
    ),
  };
  named.set(key, found);
  return found;
}

let waiting = count;
let total = { messages: 0, resources: 0, bytes: 0, refused: 0 };
const report = (what: string) => {
  const { heapUsed, rss } = process.memoryUsage();
  console.log(JSON.stringify({ what, at: now(), ...total, heapUsed, rss }));
};
const gateways = Array.from({ length: count }, (_, index) => createGateway(from + index));

interface Gateway {
  /** Resources that it still waits for after an edit. */
  missing: number;
}

function createGateway(index: number): Gateway {
  const gateway: Gateway = { missing: 0 };
  const client = new Client(
    address,
    authority ? credentials.createSsl(authority) : credentials.createInsecure(),
    { ...grpcOptions, "grpc.use_local_subchannel_pool": 1 },
  );
  const header = new Metadata();
  if (tokens.length > 0) header.set("authorization", `Bearer ${tokens[index % tokens.length]}`);
  const own: Record<string, string> = labels === "unique" ? { pod: `gateway-${index}` } : {};
  const self = gatewayNode({ name: `gateway-${index}`, labels: { ...defaultLabels, ...own } });
  const node = create(NodeSchema, { id: self.id, metadata: { ...self.metadata, ...ownAgent } as never });
  let failures = 0;
  let isSynced = false;

  function connect(): void {
    const wanted = new Map<string, Set<string>>();
    const got = new Map<string, Set<string>>();
    const open = client.deltaAggregatedResources as unknown as (
      metadata: Metadata,
    ) => ClientDuplexStream<Buffer, Buffer>;
    const stream = open.call(client, header);
    const subscribe = (typeUrl: string, names: readonly string[]) => {
      const known = wanted.get(typeUrl) ?? new Set();
      const added = names.filter((name) => !known.has(name));
      for (const name of added) known.add(name);
      wanted.set(typeUrl, known);
      if (added.length > 0)
        stream.write(encode(create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesSubscribe: added })));
    };
    stream.on("data", (bytes: Buffer) => {
      const { typeUrl, nonce, resources } = scan(bytes);
      failures = 0;
      total.messages++;
      total.resources += resources.length;
      total.bytes += bytes.length;
      const names = got.get(typeUrl) ?? new Set();
      got.set(typeUrl, names);
      for (const { name } of resources) names.add(name);
      stream.write(encode(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce })));
      if (typeUrl === typeUrls.cluster)
        subscribe(
          typeUrls.endpoints,
          resources.map(({ name }) => name),
        );
      if (typeUrl === typeUrls.listener) {
        const found = resources.map(({ value }) => namesIn(value));
        subscribe(
          typeUrls.extensionConfig,
          found.flatMap(({ extensions }) => extensions),
        );
        subscribe(
          typeUrls.routes,
          found.flatMap(({ routes }) => routes),
        );
      }
      if (isSynced) return take(resources.length);
      const isAll = [typeUrls.cluster, typeUrls.listener].every((type) => (got.get(type)?.size ?? 0) > 0);
      const has = ([type, all]: [string, Set<string>]) => (got.get(type)?.size ?? 0) >= all.size;
      if (!isAll || ![...wanted].every(has)) return;
      isSynced = true;
      if (--waiting === 0) report("synced");
    });
    stream.on("error", (error) => {
      total.refused++;
      if (failures === 3) console.error(error.message);
      setTimeout(connect, backoffMs(failures++));
    });
    for (const typeUrl of [typeUrls.cluster, typeUrls.listener])
      stream.write(encode(create(DeltaDiscoveryRequestSchema, { node, typeUrl })));
  }

  function take(resources: number): void {
    const before = gateway.missing;
    gateway.missing -= resources;
    if (before > 0 && gateway.missing <= 0 && --waiting === 0) report("edited");
  }

  connect();
  return gateway;
}

createInterface({ input: process.stdin }).on("line", () => {
  waiting = count;
  total = { messages: 0, resources: 0, bytes: 0, refused: 0 };
  for (const gateway of gateways) gateway.missing = 1;
  console.log("{}");
});
