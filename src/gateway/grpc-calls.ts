import { fromBinary } from "@bufbuild/protobuf";
import { GrpcServiceSchema } from "../gen/envoy/config/core/v3/grpc_service_pb.ts";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Cancel, GrpcCall, GrpcEvents, GrpcMethod, GrpcStream } from "../proxy-wasm/index.ts";
import { askerOf, buildReply } from "../proxy-wasm/local-reply.ts";
import type { ActiveCluster } from "./active-cluster.ts";
import type { ActiveClusters } from "./active-clusters.ts";
import { Forwarding, type ForwardingOwner } from "./forwarding.ts";
import { createGrpcFrameDecoder, encodeGrpcFrame } from "./grpc-frames.ts";
import { maxAnswerBytes } from "./http-calls.ts";

/** Makes a plugin's gRPC call over a cluster: one message there, what comes back, and how it ended. */
export function callGrpc(
  clusters: ActiveClusters,
  call: GrpcCall,
  events: GrpcEvents,
): Cancel | "unknown-upstream" {
  const begun = begin(clusters, call, events, call.timeoutMs);
  if (!begun) return "unknown-upstream";
  begun.send(encodeGrpcFrame(call.message), true);
  return begun.cancel;
}

/** Opens a plugin's gRPC stream over a cluster. */
export function streamGrpc(
  clusters: ActiveClusters,
  method: GrpcMethod,
  events: GrpcEvents,
): GrpcStream | "unknown-upstream" {
  const begun = begin(clusters, method, events, undefined);
  if (!begun) return "unknown-upstream";
  const { send, cancel } = begun;
  return {
    send: (message, endOfStream) => send(encodeGrpcFrame(message), endOfStream),
    close: () => send(new Uint8Array(0), true),
    cancel,
  };
}

interface Begun {
  send(bytes: Uint8Array, endOfStream: boolean): void;
  readonly cancel: Cancel;
}

function begin(
  clusters: ActiveClusters,
  method: GrpcMethod,
  events: GrpcEvents,
  timeoutMs: number | undefined,
): Begun | undefined {
  const cluster = findCluster(clusters, method.upstream);
  if (!cluster) return undefined;
  const request = requestOf(cluster, method, timeoutMs);
  const call = createGrpcOwner(request, events);
  const forwarding = new Forwarding(call.owner, {
    cluster,
    timeoutMs: timeoutMs ?? 0,
    retryPolicy: undefined,
    bufferLimitBytes: maxAnswerBytes,
  });
  call.onBroken(() => forwarding.cancel());
  // Nothing calls back before the caller has returned: what is sent meanwhile goes with the head.
  const early: { readonly bytes: Uint8Array; readonly endOfStream: boolean }[] = [];
  let isStarted = false;
  let isSent = false;
  const start = setImmediate(() => {
    isStarted = true;
    forwarding.start(request, false);
    for (const { bytes, endOfStream } of early.splice(0)) forwarding.data(bytes, endOfStream);
  });
  return {
    send(bytes, endOfStream) {
      if (isSent) return;
      isSent = endOfStream;
      if (isStarted) forwarding.data(bytes, endOfStream);
      else early.push({ bytes, endOfStream });
    },
    cancel() {
      call.close();
      clearImmediate(start);
      forwarding.cancel();
    },
  };
}

/** A cluster's name, or that in a serialized `GrpcService`. */
function findCluster(clusters: ActiveClusters, upstream: Uint8Array): ActiveCluster | undefined {
  const named = clusters.find(Buffer.from(upstream).toString("latin1"));
  if (named) return named;
  try {
    const { targetSpecifier } = fromBinary(GrpcServiceSchema, upstream);
    return targetSpecifier.case === "envoyGrpc"
      ? clusters.find(targetSpecifier.value.clusterName)
      : undefined;
  } catch {
    return undefined;
  }
}

function requestOf(
  { config }: ActiveCluster,
  { service, method, metadata }: GrpcMethod,
  timeoutMs: number | undefined,
): HeaderMap {
  return HeaderMap.from([
    [":method", "POST"],
    [":path", `/${service}/${method}`],
    [":authority", config.name],
    [":scheme", config.tls ? "https" : "http"],
    ["te", "trailers"],
    ...(timeoutMs === undefined ? [] : [["grpc-timeout", `${timeoutMs}m`] as const]),
    ["content-type", "application/grpc"],
    ...metadata,
  ]);
}

const internal = 13;
const unknown = 2;
/** gRPC's status for an HTTP status where there is no other, by gRPC's own table. */
const statusOfHttp: ReadonlyMap<string, number> = new Map([
  ["400", 13],
  ["401", 16],
  ["403", 7],
  ["404", 12],
  ["429", 14],
  ["502", 14],
  ["503", 14],
  ["504", 14],
]);

/** Tells a plugin what comes of a call, as Envoy's client does. */
function createGrpcOwner(request: HeaderMap, events: GrpcEvents) {
  let isOpen = true;
  let stop = () => {};
  const startedMs = performance.now();
  const fail = (status: number) => {
    stop();
    close(status, "");
  };
  const close = (status: number, text: string) => {
    if (isOpen) {
      isOpen = false;
      events.close(status, text);
    }
  };
  const decoder = createGrpcFrameDecoder(maxAnswerBytes, (message) => isOpen && events.message(message));
  const end = (trailers: HeaderMap, details: string) => {
    if (!isOpen) return;
    events.trailingMetadata(trailers.lines);
    const status = trailers.get("grpc-status");
    const text = decodeURIText(trailers.get("grpc-message") ?? "");
    const code = status !== undefined && /^\d{1,9}$/.test(status) ? Number(status) : unknown;
    close(code, text === "" ? details : `${text}{${details}}`);
  };
  const owner: ForwardingOwner = {
    onResponseHeaders(headers, endOfStream) {
      if (!isOpen) return;
      headers.replace("x-envoy-upstream-service-time", String(Math.round(performance.now() - startedMs)));
      const isFine = headers.get(":status") === "200";
      if (endOfStream && headers.get("grpc-status") !== undefined) end(headers, "via_upstream");
      else if (!isFine) fail(statusOfHttp.get(headers.get(":status") ?? "") ?? unknown);
      else if (endOfStream) fail(unknown);
      else events.initialMetadata(headers.lines);
    },
    onResponseData(bytes, endOfStream) {
      if (!isOpen) return;
      if (!decoder.push(bytes)) fail(internal);
      else if (endOfStream) fail(unknown);
    },
    onResponseTrailers: (trailers) => end(trailers, "via_upstream"),
    onFailure(reply) {
      end(buildReply(reply, askerOf(request)).headers, reply.details);
    },
    onCut: () => close(internal, ""),
    onRequestBlocked() {},
  };
  return {
    owner,
    close() {
      isOpen = false;
    },
    onBroken(cancel: () => void) {
      stop = cancel;
    },
  };
}

/** gRPC's messages have percent signs for what is no printable ASCII. */
function decodeURIText(text: string): string {
  const bytes = text.replace(/%([0-9a-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, "latin1").toString();
}
