import type { UpstreamConnection } from "../upstream-stream.ts";
import type { Readers } from "./reader.ts";

const protocols: Readonly<Record<string, string>> = { http1: "HTTP/1.1", http2: "HTTP/2" };
const ids = new WeakMap<UpstreamConnection, number>();
let lastId = 0;

/** Where a request went. */
export const upstreamValues: Readers = {
  UPSTREAM_PROTOCOL: ({ forwarding }) => forwarding?.connection && protocols[forwarding.connection.protocol],
  ROUTE_NAME: ({ selected }) => selected?.route?.name || undefined,
  UPSTREAM_CLUSTER: ({ cluster }) => cluster?.config.statName,
  UPSTREAM_CLUSTER_RAW: ({ cluster }) => cluster?.config.name,
  UPSTREAM_HOST: ({ forwarding }) => forwarding?.address,
  UPSTREAM_HOST_NAME: ({ forwarding }) => forwarding?.endpoint?.hostname || forwarding?.address,
  UPSTREAM_HOST_NAME_WITHOUT_PORT: ({ forwarding }) =>
    forwarding?.endpoint?.hostname.replace(/:\d+$/, "") || forwarding?.endpoint?.address,
  UPSTREAM_REMOTE_ADDRESS: ({ forwarding }) => forwarding?.connection?.remoteAddress,
  UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ forwarding }) =>
    forwarding?.connection && withoutPort(forwarding.connection.remoteAddress),
  UPSTREAM_REMOTE_PORT: ({ forwarding }) =>
    forwarding?.connection && portOf(forwarding.connection.remoteAddress),
  UPSTREAM_LOCAL_ADDRESS: ({ forwarding }) => forwarding?.connection?.localAddress || undefined,
  UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ forwarding }) =>
    forwarding?.connection && withoutPort(forwarding.connection.localAddress),
  UPSTREAM_LOCAL_PORT: ({ forwarding }) =>
    forwarding?.connection && portOf(forwarding.connection.localAddress),
  UPSTREAM_CONNECTION_ID: ({ forwarding }) => idOf(forwarding?.connection),
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ forwarding }) => forwarding?.attempts ?? 0,
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ transportFailure }) => transportFailure?.replace(/\s/g, "_"),
  UPSTREAM_TLS_VERSION: ({ forwarding }) => forwarding?.connection?.tlsVersion,
};

function idOf(connection: UpstreamConnection | undefined): number {
  if (!connection) return 0;
  const known = ids.get(connection) ?? ++lastId;
  ids.set(connection, known);
  return known;
}

function withoutPort(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

function portOf(address: string): number | undefined {
  const port = /:(\d+)$/.exec(address)?.[1];
  return port === undefined ? undefined : Number(port);
}
