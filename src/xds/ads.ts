import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { BinaryReader } from "@bufbuild/protobuf/wire";
import type { ServiceDefinition } from "@grpc/grpc-js";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";

export type { DeltaDiscoveryRequest, DeltaDiscoveryResponse, DiscoveryRequest, DiscoveryResponse };

const service = "/envoy.service.discovery.v3.AggregatedDiscoveryService/";

/**
 * The aggregated discovery service in both forms: state of the world and incremental. MCP over xDS and ADS are this
 * service with other type URLs.
 */
export const adsDefinition = {
  streamAggregatedResources: {
    path: `${service}StreamAggregatedResources`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: DiscoveryRequest) => Buffer.from(toBinary(DiscoveryRequestSchema, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(DiscoveryRequestSchema, bytes),
    responseSerialize: (message: DiscoveryResponse) =>
      Buffer.from(toBinary(DiscoveryResponseSchema, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(DiscoveryResponseSchema, bytes),
  },
  deltaAggregatedResources: {
    path: `${service}DeltaAggregatedResources`,
    requestStream: true,
    responseStream: true,
    requestSerialize: (message: DeltaDiscoveryRequest) =>
      Buffer.from(toBinary(DeltaDiscoveryRequestSchema, message)),
    requestDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryRequestSchema, bytes),
    responseSerialize: (message: DeltaDiscoveryResponse) =>
      Buffer.from(toBinary(DeltaDiscoveryResponseSchema, message)),
    responseDeserialize: (bytes: Buffer) => fromBinary(DeltaDiscoveryResponseSchema, bytes),
  },
} as const satisfies ServiceDefinition;

const identity = (bytes: Buffer) => bytes;
const passThrough = {
  requestStream: true,
  responseStream: true,
  requestSerialize: identity,
  requestDeserialize: identity,
  responseSerialize: identity,
  responseDeserialize: identity,
} as const;

/** The same service for a proxy: messages are the bytes that came. */
export const passThroughDefinition = {
  streamAggregatedResources: { path: adsDefinition.streamAggregatedResources.path, ...passThrough },
  deltaAggregatedResources: { path: adsDefinition.deltaAggregatedResources.path, ...passThrough },
} as const satisfies ServiceDefinition;

/** The same service for a server that encodes its responses itself. */
export const serverDefinition = {
  streamAggregatedResources: { ...adsDefinition.streamAggregatedResources, responseSerialize: identity },
  deltaAggregatedResources: { ...adsDefinition.deltaAggregatedResources, responseSerialize: identity },
} as const satisfies ServiceDefinition;

/** The field number of `type_url` in each message. */
const typeUrlField = {
  streamAggregatedResources: { request: 4, response: 4 },
  deltaAggregatedResources: { request: 2, response: 4 },
} as const;

/** Reads the type URL of an encoded request or response without decoding the rest. "" where it has none. */
export function typeUrlOf(
  bytes: Uint8Array,
  kind: "request" | "response",
  method: keyof typeof typeUrlField,
): string {
  const reader = new BinaryReader(bytes);
  while (reader.pos < reader.len) {
    const [field, wireType] = reader.tag();
    if (field === typeUrlField[method][kind]) return reader.string();
    reader.skip(wireType, field);
  }
  return "";
}

/**
 * Options of every gRPC channel and server here. Keepalive finds dead peers within 40 s; a gateway with thousands of
 * plugins needs messages far above gRPC's default of 4 MiB.
 */
export const grpcOptions = {
  "grpc.keepalive_time_ms": 30_000,
  "grpc.keepalive_timeout_ms": 10_000,
  "grpc.keepalive_permit_without_calls": 1,
  // Whoever opens streams here paces itself; the channel must not wait for longer.
  "grpc.initial_reconnect_backoff_ms": 50,
  "grpc.max_reconnect_backoff_ms": 1000,
  // A channel that is made anew has to get a connection of its own, and not the one that its predecessor waits for.
  "grpc.use_local_subchannel_pool": 1,
  "grpc.max_receive_message_length": 256 * 1024 * 1024,
  "grpc.max_send_message_length": 256 * 1024 * 1024,
} as const;

/**
 * How long a connection may take to be there, ms. gRPC's other implementations give one 20 seconds; grpc-js waits for as
 * long as TCP does, minutes where packets go to a Pod that is gone, and for ever where the other side says nothing.
 */
export const connectTimeoutMs = 10_000;
