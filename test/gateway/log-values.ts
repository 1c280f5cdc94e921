/** Formats that are not compared, with the reason: what they say is left to chance or to the machine. */
const chances: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/TIME/, "times differ from one request to the next"],
  [/DURATION/, "durations differ, if there is one it is a number"],
  [/_ID$/, "identities are each gateway's own"],
  [/LOCAL_(ADDRESS|PORT)$|REMOTE_(ADDRESS|PORT)$/, "ports are chosen anew"],
];

/** Operators that the gateway takes and has no value for, with the reason. */
export const withoutValue: readonly (readonly [pattern: RegExp, reason: string])[] = [
  [/_(WIRE|HEADER)_BYTES_/, "bytes are not counted at the sockets"],
  [/^UPSTREAM_CONNECTION_POOL_READY_DURATION$/, "how long a request waited for a connection is not measured"],
];

const taken =
  `START_TIME START_TIME(%Y/%m) START_TIME_LOCAL EMIT_TIME REQUEST_DURATION REQUEST_TX_DURATION RESPONSE_DURATION
  RESPONSE_TX_DURATION DURATION COMMON_DURATION(DS_RX_BEG:DS_TX_END:us) COMMON_DURATION(US_RX_BEG:US_RX_END:ms)
  ROUNDTRIP_DURATION BYTES_RECEIVED BYTES_SENT PROTOCOL UPSTREAM_PROTOCOL RESPONSE_CODE RESPONSE_CODE_DETAILS RESPONSE_FLAGS
  RESPONSE_FLAGS_LONG CONNECTION_TERMINATION_DETAILS CONNECTION_ID UPSTREAM_CONNECTION_ID STREAM_ID UNIQUE_ID ROUTE_NAME
  VIRTUAL_CLUSTER_NAME UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_HOST UPSTREAM_HOST_NAME
  UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT UPSTREAM_LOCAL_PORT
  UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT UPSTREAM_TRANSPORT_FAILURE_REASON
  UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TLS_VERSION UPSTREAM_TLS_CIPHER UPSTREAM_METADATA(a:b)
  UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT
  UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT
  DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_REMOTE_ADDRESS
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_LOCAL_ADDRESS
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_DIRECT_LOCAL_ADDRESS DOWNSTREAM_TLS_VERSION
  DOWNSTREAM_TLS_CIPHER DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_TRANSPORT_FAILURE_REASON
  REQUESTED_SERVER_NAME DYNAMIC_METADATA(a:b) CLUSTER_METADATA(a:b) FILTER_STATE(a:PLAIN) FILTER_CHAIN_NAME
  ACCESS_LOG_TYPE TRACE_ID ENVIRONMENT(NO_SUCH_VARIABLE) HOSTNAME LOCAL_REPLY_BODY REQUEST_HEADERS_BYTES RESPONSE_TRAILERS_BYTES
  GRPC_STATUS GRPC_STATUS(SNAKE_STRING) GRPC_STATUS_NUMBER QUERY_PARAM(q) QUERY_PARAMS(ORIG) QUERY_PARAMS(DECODED) PATH(WQ)
  PATH(NQ:ORIG) PATH(WQ:PATH) CUSTOM_FLAGS REQ(:path):3 REQ(x-none?:authority) RESP(x-b) RESP(server) TRAILER(x-trailer)`
    .trim()
    .split(/\s+/);

/** The operators whose lines are compared, without their percent signs. */
export const operators: readonly string[] = taken.filter(
  (text) => !withoutValue.some(([pattern]) => pattern.test(text)),
);

/** A line without what chance says: whether there is a value stays, and its type. */
export function comparedLine(line: string): unknown {
  if (line.startsWith("{")) {
    const fields = Object.entries(JSON.parse(line) as Record<string, unknown>);
    return fields.map(([name, value]) => [name, isChance(name) && value !== null ? typeof value : value]);
  }
  const [name = "", ...value] = line.split(" ");
  if (isChance(name)) return [name, ["", "-"].includes(value.join(" ")) ? value.join(" ") : "some"];
  return line
    .replace(/^\[\d{4}-[^\]]*\]/, "[time]")
    .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f-]{22}/, "UUID")
    .replace(/( \d+ \d+) \d+ (?:\d+|-) (?=")/, "$1 durations ");
}

function isChance(name: string): boolean {
  return chances.some(([pattern]) => pattern.test(name.replace(/\(.*/, "")));
}
