import { clusterName, HeaderMap, requestHeaders, responseHeaders, routeName } from "@wasmline/plugin-sdk/assembly";
import { lowerCase } from "@wasmline/plugin-sdk/assembly/ascii";
import { Field } from "./field";
import { BodyField, GrpcStatusField, HeaderField, HeadersField, StatusField } from "./message-fields";
import {
  DurationField,
  FlagsField,
  IntegerField,
  RenamedField,
  TextField,
  TimeField,
} from "./property-fields";
import { Redaction } from "./redaction";

const REQUEST_HEADER = "request_header.";
const RESPONSE_HEADER = "response_header.";

/** Fields that are a header of the request, with that header. */
const HEADERS = [
  ["method", ":method"],
  ["path", ":path"],
  ["scheme", ":scheme"],
  ["host", ":authority"],
  ["request_id", "x-request-id"],
  ["user_agent", "user-agent"],
  ["consumer", "x-mse-consumer"],
];

/** Fields that are a text that the proxy knows, with its property. */
const TEXTS = [
  ["protocol", "request.protocol"],
  ["details", "response.code_details"],
  ["source", "source.address"],
  ["upstream", "upstream.address"],
  ["upstream_failure", "upstream.transport_failure_reason"],
  ["virtual_host", "xds.virtual_host_name"],
  ["server_name", "connection.requested_server_name"],
  ["tls_version", "connection.tls_version"],
];

/** Fields that are a number that the proxy knows, with its property. */
const INTEGERS = [
  ["request_size", "request.size"],
  ["request_total_size", "request.total_size"],
  ["response_size", "response.size"],
  ["response_total_size", "response.total_size"],
  ["attempts", "upstream.request_attempt_count"],
];

const OTHERS = [
  "status",
  "grpc_status",
  "time",
  "duration",
  "upstream_duration",
  "flags",
  "route",
  "cluster",
  "request_headers",
  "response_headers",
  "request_body",
  "response_body",
  "request_header.NAME",
  "response_header.NAME",
];

/** Names of all fields, for a message. */
export function listFields(): string {
  const names: string[] = [];
  addNames(HEADERS, names);
  addNames(TEXTS, names);
  addNames(INTEGERS, names);
  return names.concat(OTHERS).join(", ");
}

function addNames(pairs: string[][], names: string[]): void {
  for (let i = 0; i < pairs.length; i++) names.push(pairs[i][0]);
}

/** The field of this name; null when there is none. */
export function createField(name: string, redaction: Redaction): Field | null {
  const header = find(HEADERS, name);
  if (header != "") return new HeaderField(name, requestHeaders, header, redaction);
  const text = find(TEXTS, name);
  if (text != "") return new TextField(name, text);
  const integer = find(INTEGERS, name);
  if (integer != "") return new IntegerField(name, integer);
  if (name == "status") return new StatusField(name);
  if (name == "grpc_status") return new GrpcStatusField(name);
  if (name == "time") return new TimeField(name);
  if (name == "duration") return new DurationField(name, "request.duration");
  if (name == "upstream_duration") return new DurationField(name, "response.backend_latency");
  if (name == "flags") return new FlagsField(name);
  if (name == "route") return new RenamedField(name, routeName);
  if (name == "cluster") return new RenamedField(name, clusterName);
  return createMessageField(name, redaction);
}

function createMessageField(name: string, redaction: Redaction): Field | null {
  if (name == "request_headers") return new HeadersField(name, requestHeaders, redaction);
  if (name == "response_headers") return new HeadersField(name, responseHeaders, redaction);
  if (name == "request_body") return new BodyField(name, true, redaction);
  if (name == "response_body") return new BodyField(name, false, redaction);
  const ofRequest = createHeader(name, REQUEST_HEADER, requestHeaders, redaction);
  return ofRequest !== null ? ofRequest : createHeader(name, RESPONSE_HEADER, responseHeaders, redaction);
}

function createHeader(name: string, prefix: string, headers: HeaderMap, redaction: Redaction): Field | null {
  if (!name.startsWith(prefix) || name.length == prefix.length) return null;
  return new HeaderField(name, headers, lowerCase(name.substring(prefix.length)), redaction);
}

function find(pairs: string[][], name: string): string {
  for (let i = 0; i < pairs.length; i++) {
    if (pairs[i][0] == name) return pairs[i][1];
  }
  return "";
}
