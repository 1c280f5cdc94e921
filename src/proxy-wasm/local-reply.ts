import type { LocalResponse } from "./context.ts";
import { HeaderMap } from "./header-map.ts";

/** A response as it is sent: headers, and a body that may be empty. */
export interface Reply {
  readonly headers: HeaderMap;
  readonly body: Uint8Array;
}

const none = new Uint8Array(0);

/** By gRPC's own table. */
const grpcStatuses: ReadonlyMap<number, number> = new Map([
  [400, 13],
  [401, 16],
  [403, 7],
  [404, 12],
  [429, 14],
  [502, 14],
  [503, 14],
  [504, 14],
]);
const grpcUnknown = 2;

/** gRPC's status for one of HTTP. */
export function grpcStatusOf(status: number): number {
  return grpcStatuses.get(status) ?? grpcUnknown;
}

/** `application/grpc`, alone or with a suffix such as `+proto`; not `application/grpc-web`. */
export function isGrpcType(contentType: string | undefined): boolean {
  return contentType !== undefined && /^application\/grpc(\+|$)/.test(contentType);
}

/** What a request says of the form of its answer. */
export interface Asker {
  readonly isHead: boolean;
  readonly isGrpc: boolean;
}

/** Reads who asks off a request's headers. */
export function askerOf(request: HeaderMap): Asker {
  return { isHead: request.get(":method") === "HEAD", isGrpc: isGrpcType(request.get("content-type")) };
}

/** What Envoy makes of a local response: headers as given, length and type of the body set; for gRPC, no body but trailers. */
export function buildReply(response: LocalResponse, asker: Asker | undefined): Reply {
  if (asker?.isGrpc && !response.isPlain) return buildGrpcReply(response, asker.isHead);
  const headers = HeaderMap.from([[":status", String(response.status)], ...response.headers]);
  if (response.body.length === 0) {
    headers.remove("content-length");
    headers.remove("content-type");
    return { headers, body: none };
  }
  headers.replace("content-length", String(response.body.length));
  if (headers.get("content-type") === undefined) headers.add("content-type", "text/plain");
  return { headers, body: asker?.isHead ? none : response.body };
}

function buildGrpcReply({ status, grpcStatus, headers: given, body }: LocalResponse, isHead: boolean): Reply {
  const headers = HeaderMap.from([[":status", "200"], ...given]);
  headers.replace("content-type", "application/grpc");
  headers.remove("content-length");
  if (headers.get("grpc-status") === undefined)
    headers.add("grpc-status", String(grpcStatus ?? grpcStatusOf(status)));
  if (body.length > 0 && !isHead) headers.replace("grpc-message", percentEncode(body));
  return { headers, body: none };
}

/** gRPC's encoding of messages: printable ASCII as it is, except the percent sign. */
function percentEncode(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes)
    text += byte >= 0x20 && byte <= 0x7e && byte !== 0x25 ? String.fromCharCode(byte) : `%${hex(byte)}`;
  return text;
}

function hex(byte: number): string {
  return byte.toString(16).toUpperCase().padStart(2, "0");
}
