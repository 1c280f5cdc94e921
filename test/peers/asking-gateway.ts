import { create } from "@bufbuild/protobuf";
import {
  type ChannelCredentials,
  type ClientDuplexStream,
  credentials,
  Metadata,
  makeGenericClientConstructor,
} from "@grpc/grpc-js";
import { gatewayNode } from "../../src/agent/node.ts";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { adsDefinition, passThroughDefinition } from "../../src/xds/ads.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";

const Client = makeGenericClientConstructor(passThroughDefinition, "Ads");
const { requestSerialize, responseDeserialize } = adsDefinition.deltaAggregatedResources;

export interface Asking {
  readonly address: string;
  readonly namespace?: string;
  /** More of the node's metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** TLS with this authority; plaintext unless given. */
  readonly authority?: Buffer;
  /** The header `authorization`. */
  readonly authorization?: string;
  /** Resources to ask for by name, by type URL, beside all listeners and clusters. */
  readonly names: Readonly<Record<string, readonly string[]>>;
}

/** A gateway that asks for everything that it knows the name of. */
export interface AskingGateway {
  /** Everything that came, as it came. */
  readonly received: Buffer[];
  /** Names of the resources that came. */
  resourceNames(): readonly string[];
  /** How the stream ended; undefined while it has not. */
  ended(): { readonly code: number; readonly details: string } | undefined;
  close(): void;
}

/** Opens a stream to discovery that acknowledges whatever comes. */
export function askAsGateway({
  address,
  namespace = "higress-system",
  metadata = {},
  authority,
  authorization,
  names,
}: Asking): AskingGateway {
  const channelCredentials: ChannelCredentials = authority
    ? credentials.createSsl(authority)
    : credentials.createInsecure();
  const client = new Client(address, channelCredentials, { "grpc.use_local_subchannel_pool": 1 });
  const header = new Metadata();
  if (authorization !== undefined) header.set("authorization", authorization);
  const open = client.deltaAggregatedResources as unknown as (
    metadata: Metadata,
  ) => ClientDuplexStream<Buffer, Buffer>;
  const stream = open.call(client, header);
  const received: Buffer[] = [];
  const found: string[] = [];
  let ended: { code: number; details: string } | undefined;
  stream.on("data", (bytes: Buffer) => {
    received.push(bytes);
    const { typeUrl, nonce, resources } = responseDeserialize(bytes);
    found.push(...resources.map(({ name }) => name));
    stream.write(requestSerialize(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce })));
  });
  stream.on("error", () => {});
  stream.on("status", ({ code, details }) => {
    ended = { code, details };
  });
  const self = gatewayNode({ namespace, name: "asking" });
  const node = create(NodeSchema, { id: self.id, metadata: { ...self.metadata, ...metadata } as never });
  const types = { [typeUrls.cluster]: [], [typeUrls.listener]: [], ...names };
  for (const [typeUrl, resourceNamesSubscribe] of Object.entries(types))
    stream.write(
      requestSerialize(
        create(DeltaDiscoveryRequestSchema, {
          ...{ node, typeUrl },
          resourceNamesSubscribe: [...resourceNamesSubscribe],
        }),
      ),
    );
  return {
    received,
    resourceNames: () => found,
    ended: () => ended,
    close() {
      stream.cancel();
      client.close();
    },
  };
}
