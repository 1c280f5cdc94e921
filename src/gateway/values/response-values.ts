import { grpcStatusOf } from "../../proxy-wasm/local-reply.ts";
import type { HttpStream } from "../http-stream.ts";
import { isGrpc } from "../route-match.ts";
import type { Readers } from "./reader.ts";

/** How a stream went. */
export const responseValues: Readers = {
  RESPONSE_CODE: ({ chain }, _, coming) => {
    // As Envoy: a reply of its own has no code yet while its headers are made.
    if (coming?.details !== undefined) return 0;
    return Number((coming?.headers ?? chain.response.headers)?.get(":status") ?? 0);
  },
  RESPONSE_CODE_DETAILS: ({ chain, upstreamFirstMs }, _, coming) => {
    const ofUpstream = upstreamFirstMs === undefined ? undefined : "via_upstream";
    return (coming?.details ?? chain.details ?? ofUpstream)?.replace(/\s/g, "_");
  },
  RESPONSE_FLAGS: ({ flags }) => (flags.length > 0 ? [...new Set(flags)].join(",") : "-"),
  RESPONSE_FLAGS_LONG: ({ flags }) =>
    flags.length > 0 ? [...new Set(flags)].map((flag) => longFlags[flag] ?? flag).join(",") : "-",
  BYTES_RECEIVED: ({ chain }) => chain.bodyBytes.request,
  BYTES_SENT: ({ sentBytes }) => sentBytes.response,
  GRPC_STATUS: (stream, { argument }) => grpcText(grpcStatus(stream), argument),
  GRPC_STATUS_NUMBER: (stream) => grpcStatus(stream),
  LOCAL_REPLY_BODY: () => "",
  CUSTOM_FLAGS: () => "",
  ACCESS_LOG_TYPE: () => "DownstreamEnd",
};

const longFlags: Readonly<Record<string, string>> = {
  UH: "NoHealthyUpstream",
  UT: "UpstreamRequestTimeout",
  LR: "LocalReset",
  UR: "UpstreamRemoteReset",
  UF: "UpstreamConnectionFailure",
  UC: "UpstreamConnectionTermination",
  UO: "UpstreamOverflow",
  NR: "NoRouteFound",
  DI: "DelayInjected",
  FI: "FaultInjected",
  RL: "RateLimited",
  DC: "DownstreamConnectionTermination",
  URX: "UpstreamRetryLimitExceeded",
  SI: "StreamIdleTimeout",
  IH: "InvalidEnvoyRequestHeaders",
  DPE: "DownstreamProtocolError",
  UPE: "UpstreamProtocolError",
  UMSDR: "UpstreamMaxStreamDurationReached",
  NFCF: "NoFilterConfigFound",
  DT: "DurationTimeout",
  NC: "NoClusterFound",
  OM: "OverloadManager",
  DF: "DnsResolutionFailed",
  DR: "DownstreamRemoteReset",
};

const grpcNames: readonly string[] = (
  "OK Canceled Unknown InvalidArgument DeadlineExceeded NotFound AlreadyExists PermissionDenied ResourceExhausted " +
  "FailedPrecondition Aborted OutOfRange Unimplemented Internal Unavailable DataLoss Unauthenticated"
).split(" ");

function grpcStatus(stream: HttpStream): number | undefined {
  const { headers } = stream.chain.request;
  return headers && isGrpc(headers) ? grpcStatusOfResponse(stream) : undefined;
}

/** What trailers or headers say, or what the HTTP status stands for. */
export function grpcStatusOfResponse({ chain: { response } }: HttpStream): number {
  const said = response.trailers?.get("grpc-status") ?? response.headers?.get("grpc-status");
  return Number(said ?? grpcStatusOf(Number(response.headers?.get(":status") ?? 0)));
}

function grpcText(status: number | undefined, form: string | undefined): string | number | undefined {
  if (status === undefined || form === "NUMBER") return status;
  const name = grpcNames[status];
  if (name === undefined) return String(status);
  if (form !== "SNAKE_STRING") return name;
  return status === 1 ? "CANCELLED" : name.replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
