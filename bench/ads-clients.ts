// Simulated gateways: N ADS clients in one process, subscribed to ECDS resources by name. Run by bench/scale.ts.
//   node --import tsx bench/ads-clients.ts PORT CLIENTS NAMES
// Reads one line on stdin before each edit and answers on stdout, when every client has had a response, with
//   {"lastMs": epoch ms of the last client's response, "resources": total of resources received, "bytes": total}
import { createInterface } from "node:readline";
import { create } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import { credentials, makeGenericClientConstructor } from "@grpc/grpc-js";
import { gatewayNode } from "../src/agent/node.ts";
import { NodeSchema } from "../src/gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { adsDefinition, grpcOptions, passThroughDefinition } from "../src/xds/ads.ts";
import { typeUrls } from "../src/xds/type-urls.ts";

const [port, clients, plugins] = process.argv.slice(2).map(Number) as [number, number, number];
const Client = makeGenericClientConstructor(passThroughDefinition, "Ads");
const names = Array.from({ length: plugins }, (_, index) => `higress-system.plugin-${index}`);
const encode = adsDefinition.deltaAggregatedResources.requestSerialize;

/** Counts resources and finds the nonce without decoding them. */
function scan(bytes: Buffer): { resources: number; nonce: string } {
  const reader = new BinaryReader(bytes);
  const found = { resources: 0, nonce: "" };
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === 5) found.nonce = reader.string();
    else {
      if (field === 2) found.resources++;
      reader.skip(type, field);
    }
  }
  return found;
}

/** How many resources each client still has to get. */
let missing: number[] = [];
let waiting = 0;
let total = { resources: 0, bytes: 0 };
function received(client: number, resources: number, bytes: number): void {
  total.resources += resources;
  total.bytes += bytes;
  const before = missing[client]!;
  missing[client] = before - resources;
  if (before <= 0 || missing[client]! > 0 || --waiting > 0) return;
  console.log(JSON.stringify({ lastMs: performance.timeOrigin + performance.now(), ...total }));
}
function expectOfAll(resources: number): void {
  missing = new Array(clients).fill(resources);
  waiting = clients;
  total = { resources: 0, bytes: 0 };
}

expectOfAll(plugins);
for (let index = 0; index < clients; index++) {
  // A connection for each client, as gateways have.
  const channel = new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
    ...grpcOptions,
    "grpc.use_local_subchannel_pool": 1,
  });
  const stream = channel.deltaAggregatedResources!() as import("@grpc/grpc-js").ClientDuplexStream<
    Buffer,
    Buffer
  >;
  stream.on("data", (bytes: Buffer) => {
    const { resources, nonce } = scan(bytes);
    received(index, resources, bytes.length);
    stream.write(
      encode(
        create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.extensionConfig, responseNonce: nonce }),
      ),
    );
  });
  stream.on("error", (error: Error) => {
    console.error(error.message);
    process.exit(1);
  });
  const { id, metadata } = gatewayNode({ name: `gateway-${index}` });
  const node = create(NodeSchema, { id, metadata: metadata as never });
  stream.write(
    encode(
      create(DeltaDiscoveryRequestSchema, {
        node,
        typeUrl: typeUrls.extensionConfig,
        resourceNamesSubscribe: names,
      }),
    ),
  );
}
createInterface({ input: process.stdin }).on("line", () => {
  expectOfAll(1);
  console.log("{}");
});
