import { refuse } from "./refused-config.ts";

/** An operator of a format string: `%REQ(X?Y):10%` has the name REQ, the argument `X?Y` and the length 10. */
export interface FormatOperator {
  readonly name: string;
  readonly argument: string | undefined;
  readonly maxLength: number | undefined;
}

/** A format string of Envoy's, taken apart: text, and what is to be put in. */
export interface Format {
  readonly source: string;
  readonly parts: readonly (string | FormatOperator)[];
}

/** Says an operator's value for a stream; undefined for none. The stream's owner has one. */
export type FormatValues = (operator: FormatOperator) => string | number | undefined;

/** Operators whose argument is a header, `NAME` or `NAME?OTHER`. */
const headerOperators: ReadonlySet<string> = new Set(["REQ", "RESP", "TRAILER"]);

const operators: ReadonlySet<string> = new Set([
  ...headerOperators,
  ...`START_TIME START_TIME_LOCAL EMIT_TIME REQUEST_DURATION REQUEST_TX_DURATION RESPONSE_DURATION RESPONSE_TX_DURATION DURATION
  COMMON_DURATION ROUNDTRIP_DURATION BYTES_RECEIVED BYTES_SENT PROTOCOL UPSTREAM_PROTOCOL RESPONSE_CODE
  RESPONSE_CODE_DETAILS RESPONSE_FLAGS RESPONSE_FLAGS_LONG CONNECTION_TERMINATION_DETAILS CONNECTION_ID
  UPSTREAM_CONNECTION_ID STREAM_ID UNIQUE_ID ROUTE_NAME VIRTUAL_CLUSTER_NAME UPSTREAM_CLUSTER UPSTREAM_CLUSTER_RAW UPSTREAM_HOST
  UPSTREAM_HOST_NAME UPSTREAM_HOST_NAME_WITHOUT_PORT UPSTREAM_LOCAL_ADDRESS UPSTREAM_LOCAL_ADDRESS_WITHOUT_PORT
  UPSTREAM_LOCAL_PORT UPSTREAM_REMOTE_ADDRESS UPSTREAM_REMOTE_ADDRESS_WITHOUT_PORT UPSTREAM_REMOTE_PORT
  UPSTREAM_TRANSPORT_FAILURE_REASON UPSTREAM_REQUEST_ATTEMPT_COUNT UPSTREAM_TLS_VERSION UPSTREAM_TLS_CIPHER
  UPSTREAM_TLS_SESSION_ID UPSTREAM_PEER_SUBJECT UPSTREAM_PEER_ISSUER UPSTREAM_PEER_CERT UPSTREAM_METADATA
  UPSTREAM_CONNECTION_POOL_READY_DURATION UPSTREAM_WIRE_BYTES_RECEIVED UPSTREAM_WIRE_BYTES_SENT
  UPSTREAM_HEADER_BYTES_RECEIVED UPSTREAM_HEADER_BYTES_SENT DOWNSTREAM_WIRE_BYTES_RECEIVED DOWNSTREAM_WIRE_BYTES_SENT
  DOWNSTREAM_HEADER_BYTES_RECEIVED DOWNSTREAM_HEADER_BYTES_SENT DOWNSTREAM_REMOTE_ADDRESS
  DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_REMOTE_PORT DOWNSTREAM_DIRECT_REMOTE_ADDRESS
  DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT DOWNSTREAM_DIRECT_REMOTE_PORT DOWNSTREAM_LOCAL_ADDRESS
  DOWNSTREAM_LOCAL_ADDRESS_WITHOUT_PORT DOWNSTREAM_LOCAL_PORT DOWNSTREAM_DIRECT_LOCAL_ADDRESS
  DOWNSTREAM_TLS_VERSION DOWNSTREAM_TLS_CIPHER DOWNSTREAM_TLS_SESSION_ID DOWNSTREAM_PEER_SUBJECT DOWNSTREAM_PEER_ISSUER
  DOWNSTREAM_PEER_CERT DOWNSTREAM_PEER_CERT_V_START DOWNSTREAM_PEER_CERT_V_END DOWNSTREAM_PEER_SERIAL
  DOWNSTREAM_PEER_FINGERPRINT_1 DOWNSTREAM_PEER_FINGERPRINT_256 DOWNSTREAM_PEER_URI_SAN DOWNSTREAM_PEER_DNS_SAN
  DOWNSTREAM_LOCAL_SUBJECT DOWNSTREAM_LOCAL_URI_SAN DOWNSTREAM_LOCAL_DNS_SAN DOWNSTREAM_TRANSPORT_FAILURE_REASON
  REQUESTED_SERVER_NAME DYNAMIC_METADATA CLUSTER_METADATA FILTER_STATE FILTER_CHAIN_NAME ACCESS_LOG_TYPE TRACE_ID
  ENVIRONMENT HOSTNAME LOCAL_REPLY_BODY REQUEST_HEADERS_BYTES RESPONSE_HEADERS_BYTES RESPONSE_TRAILERS_BYTES GRPC_STATUS
  GRPC_STATUS_NUMBER QUERY_PARAM QUERY_PARAMS PATH CUSTOM_FLAGS`.split(/\s+/),
]);

const maxFormatLength = 65_536;
const operator = /%([A-Z0-9_]+)(?:\(([\s\S]*?)\))?(?::(\d+))?%/y;

/** Takes a format string apart. `%%` is a percent sign. */
export function parseFormat(source: string): Format {
  if (source.length > maxFormatLength) refuse("", `format string of more than ${maxFormatLength} characters`);
  const parts: (string | FormatOperator)[] = [];
  let text = "";
  for (let at = 0; at < source.length; ) {
    const percent = source.indexOf("%", at);
    text += source.slice(at, percent < 0 ? undefined : percent);
    if (percent < 0) break;
    if (source[percent + 1] === "%") {
      text += "%";
      at = percent + 2;
      continue;
    }
    if (text !== "") parts.push(text);
    text = "";
    parts.push(readOperator(source, percent));
    at = operator.lastIndex;
  }
  if (text !== "") parts.push(text);
  return { source, parts };
}

function readOperator(source: string, at: number): FormatOperator {
  operator.lastIndex = at;
  const found = operator.exec(source);
  if (!found)
    return refuse("", `incorrect configuration: ${source}. Couldn't find valid command at position ${at}`);
  const [, name, argument, length] = found;
  if (!operators.has(name!)) refuse("", `not supported field in format string: ${name}`);
  if (headerOperators.has(name!) && !argument)
    refuse("", `${name} needs the name of a header: %${name}(NAME)%`);
  return { name: name!, argument, maxLength: length === undefined ? undefined : Number(length) };
}

/** Puts a stream's values in; `missing` stands for those that it has not. */
export function formatText({ parts }: Format, values: FormatValues, missing: string): string {
  let text = "";
  for (const part of parts) text += typeof part === "string" ? part : (operatorText(part, values) ?? missing);
  return text;
}

function operatorText(part: FormatOperator, values: FormatValues): string | undefined {
  const value = values(part);
  if (value === undefined) return undefined;
  return part.maxLength === undefined ? String(value) : String(value).slice(0, part.maxLength);
}

/** The headers that the argument of REQ, RESP and TRAILER names, lower-case: the first that is there counts. */
export function headerNames({ argument = "" }: FormatOperator): readonly string[] {
  return argument.toLowerCase().split("?", 2);
}
