import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { type FormatOperator, type FormatValues, headerNames } from "./format.ts";
import type { HttpStream } from "./http-stream.ts";
import { hostPort } from "./http1-connection.ts";
import { withoutQuery } from "./path-match.ts";
import { readQuery } from "./query-match.ts";
import { formatTime } from "./time-format.ts";

/** A response that is about to pass the filters: not the stream's yet. */
export interface ComingResponse {
  readonly headers: HeaderMap;
  /** Of a reply of the gateway's own. */
  readonly details?: string;
}

type Reader = (
  stream: HttpStream,
  operator: FormatOperator,
  coming: ComingResponse | undefined,
) => string | number | undefined;

const directAddress: Reader = ({ downstream: { connection } }) => connection.remoteAddress;
const protocols: Readonly<Record<string, string>> = { http1: "HTTP/1.1", http2: "HTTP/2" };

const readers: Readonly<Record<string, Reader>> = {
  REQ: ({ chain }, operator) => headerValue(chain.request.headers, operator),
  RESP: ({ chain, sentHeaders }, operator, coming) =>
    headerValue(coming?.headers ?? sentHeaders ?? chain.response.headers, operator),
  TRAILER: ({ chain }, operator) => headerValue(chain.response.trailers, operator),
  START_TIME: ({ startedAt }, { argument }) => formatTime(startedAt, argument),
  PROTOCOL: ({ downstream }) => downstream.protocol,
  UPSTREAM_PROTOCOL: ({ forwarding, cluster }) =>
    forwarding?.connection && protocols[cluster?.config.protocol ?? "http1"],
  RESPONSE_CODE: ({ chain }, _, coming) => {
    // As Envoy: a reply of its own has no code yet while its headers are made.
    if (coming?.details !== undefined) return 0;
    return Number((coming?.headers ?? chain.response.headers)?.get(":status") ?? 0);
  },
  RESPONSE_CODE_DETAILS: ({ chain, upstreamFirstMs }, _, coming) =>
    (
      coming?.details ??
      chain.details ??
      (upstreamFirstMs === undefined ? undefined : "via_upstream")
    )?.replace(/\s/g, "_"),
  RESPONSE_FLAGS: ({ flags }) => (flags.length > 0 ? flags.join(",") : "-"),
  BYTES_RECEIVED: ({ chain }) => chain.bodyBytes.request,
  BYTES_SENT: ({ sentBytes }) => sentBytes.response,
  DURATION: ({ endMs }) => milliseconds(endMs),
  REQUEST_DURATION: ({ requestEndMs }) => milliseconds(requestEndMs),
  RESPONSE_DURATION: ({ upstreamFirstMs }) => milliseconds(upstreamFirstMs),
  RESPONSE_TX_DURATION: ({ upstreamFirstMs, endMs }) =>
    upstreamFirstMs === undefined || endMs === undefined ? undefined : milliseconds(endMs - upstreamFirstMs),
  ROUTE_NAME: ({ selected }) => selected?.route?.name || undefined,
  UPSTREAM_CLUSTER: ({ cluster }) => cluster?.config.statName,
  UPSTREAM_CLUSTER_RAW: ({ cluster }) => cluster?.config.name,
  UPSTREAM_HOST: ({ forwarding }) => forwarding?.address,
  UPSTREAM_REMOTE_ADDRESS: ({ forwarding }) => forwarding?.address,
  UPSTREAM_LOCAL_ADDRESS: ({ forwarding }) => forwarding?.connection?.localAddress || undefined,
  UPSTREAM_REQUEST_ATTEMPT_COUNT: ({ forwarding }) => forwarding?.attempts ?? 0,
  UPSTREAM_TRANSPORT_FAILURE_REASON: ({ transportFailure }) => transportFailure,
  CONNECTION_ID: ({ downstream }) => downstream.connection.id,
  REQUESTED_SERVER_NAME: ({ downstream }) => downstream.connection.tls?.serverName || undefined,
  DOWNSTREAM_TLS_VERSION: ({ downstream }) => downstream.connection.tls?.version,
  DOWNSTREAM_REMOTE_ADDRESS: ({ client }) => hostPort(client.address, client.port),
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT: ({ client }) => client.address,
  DOWNSTREAM_REMOTE_PORT: ({ client }) => client.port,
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS: ({ downstream: { connection: c } }) =>
    hostPort(c.remoteAddress, c.remotePort),
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT: directAddress,
  DOWNSTREAM_LOCAL_ADDRESS: ({ downstream: { connection: c } }) => hostPort(c.localAddress, c.localPort),
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT: ({ downstream }) => downstream.connection.localAddress,
  DOWNSTREAM_LOCAL_PORT: ({ downstream }) => downstream.connection.localPort,
  FILTER_CHAIN_NAME: ({ plan }) => plan.names.filterChain || undefined,
  FILTER_STATE: ({ chain }, { argument = "" }) => filterState(chain.state, argument),
  PATH: ({ chain }, { argument }) => pathOf(chain.request.headers, argument),
  QUERY_PARAM: ({ chain }, { argument = "" }) =>
    decoded(readQuery(chain.request.headers?.get(":path") ?? "").get(argument)),
  REQUEST_HEADERS_BYTES: ({ chain }) => chain.request.headers?.byteSize,
  RESPONSE_HEADERS_BYTES: ({ chain }) => chain.response.headers?.byteSize,
  RESPONSE_TRAILERS_BYTES: ({ chain }) => chain.response.trailers?.byteSize ?? 0,
};

/** What format strings ask a stream, in access logs and in headers that routes add. */
export function valuesOf(stream: HttpStream, coming?: ComingResponse): FormatValues {
  return (operator) => readers[operator.name]?.(stream, operator, coming);
}

function headerValue(headers: HeaderMap | undefined, operator: FormatOperator): string | undefined {
  for (const name of headerNames(operator)) {
    const value = headers?.get(name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** With its percent signs resolved, byte by byte. */
function decoded(text: string | undefined): string | undefined {
  return text?.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
}

/** `WQ` (with the query) or `NQ`, then which path: `ORIG`, `PATH`, or the original where there is one. */
function pathOf(headers: HeaderMap | undefined, argument = ""): string | undefined {
  const [query, which] = argument.split(":", 2);
  const original = which === "PATH" ? undefined : headers?.get("x-envoy-original-path");
  const path = original ?? (which === "ORIG" ? undefined : headers?.get(":path"));
  return query === "NQ" ? path && withoutQuery(path) : path;
}

function filterState(state: ReadonlyMap<string, Uint8Array>, argument: string): string | undefined {
  const [name = "", form] = argument.split(":", 2);
  const value = state.get(name);
  if (!value) return undefined;
  const text = Buffer.from(value).toString("latin1");
  return form === "PLAIN" ? text : JSON.stringify(text);
}

function milliseconds(value: number | undefined): number | undefined {
  return value === undefined ? undefined : Math.floor(value);
}
