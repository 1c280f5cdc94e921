import type { PropertyValue } from "../../../src/proxy-wasm/index.ts";

/** What the streams of cases have under Envoy's names, as far as it does not come from headers. */
export interface StreamFacts {
  readonly route: string | undefined;
  readonly cluster: string | undefined;
  /** The request has gone to an upstream. */
  readonly isSent: boolean;
  readonly isEnded: boolean;
}

const int = (value: number): PropertyValue => ({ int: BigInt(value) });
const empty = new Uint8Array(0);
const address = "127.0.0.1:10000";

/** What is known without a stream. */
const ofNode: Readonly<Record<string, PropertyValue>> = {
  "xds.node.id": "guests",
  "xds.node.cluster": "test-cluster",
  "xds.node.metadata.ROLE": "test",
  "xds.node.locality.region": "r",
  "xds.listener_direction": int(0),
  "xds.listener_metadata": empty,
};

export function nodeProperty(path: readonly string[]): PropertyValue | undefined {
  return ofNode[path.join(".")];
}

const ofStream: Readonly<Record<string, (facts: StreamFacts) => PropertyValue | undefined>> = {
  "request.protocol": () => "HTTP/2",
  "request.time": () => ({ timestampNs: 1n }),
  "request.duration": ({ isEnded }) => (isEnded ? { durationNs: 1n } : undefined),
  "response.backend_latency": ({ isEnded }) => (isEnded ? { durationNs: 1n } : undefined),
  "source.address": () => address,
  "source.port": () => int(10_000),
  "destination.address": () => address,
  "destination.port": () => int(10_000),
  "connection.id": () => ({ uint: 1n }),
  "connection.mtls": () => false,
  "connection.requested_server_name": () => "",
  "upstream.address": ({ isSent }) => (isSent ? address : undefined),
  "upstream.port": ({ isSent }) => (isSent ? int(10_000) : undefined),
  "upstream.local_address": ({ isSent }) => (isSent ? address : undefined),
  "upstream.transport_failure_reason": ({ isSent }) => (isSent ? "" : undefined),
  "upstream.request_attempt_count": ({ isSent }) => int(isSent ? 1 : 0),
  "upstream.cx_pool_ready_duration": ({ isSent }) => (isSent ? { durationNs: 1n } : undefined),
  "upstream.locality": ({ isSent }) => (isSent ? empty : undefined),
  "upstream.num_endpoints": () => int(1),
  "xds.cluster_name": ({ cluster }) => cluster,
  "xds.route_name": ({ route }) => route,
  "xds.virtual_host_name": ({ route }) => route && "test-host",
  "xds.filter_chain_name": () => "",
  "xds.cluster_metadata": () => empty,
  "xds.route_metadata": () => empty,
  "xds.virtual_host_metadata": () => empty,
  metadata: () => empty,
  "metadata.filter_metadata": () => ({ map: [] }),
};

export function streamProperty(path: readonly string[], facts: StreamFacts): PropertyValue | undefined {
  const name = path.join(".");
  return ofStream[name]?.(facts) ?? ofNode[name];
}
