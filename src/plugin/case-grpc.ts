import { fromBinary } from "@bufbuild/protobuf";
import { GrpcServiceSchema } from "../gen/envoy/config/core/v3/grpc_service_pb.ts";
import type { GrpcEvents, GrpcMethod } from "../proxy-wasm/index.ts";
import { headerLines, headerPairs } from "./case-text.ts";
import type { CallOutcome } from "./outcome.ts";
import type { TestCall, TestGrpc } from "./test-file.ts";

/** What a call gets that reaches nobody: gRPC's UNAVAILABLE. */
const nobody: TestGrpc = { status: 14, text: "no healthy upstream", messages: [] };

/** The cluster that a gRPC call names, by itself or in a serialized `GrpcService`. */
export function grpcUpstream({ upstream }: GrpcMethod): string {
  const name = Buffer.from(upstream).toString();
  try {
    const { targetSpecifier } = fromBinary(GrpcServiceSchema, upstream);
    return targetSpecifier.case === "envoyGrpc" ? targetSpecifier.value.clusterName : name;
  } catch {
    return name;
  }
}

/** A call as it goes over the wire: the method is the path, metadata are headers, and messages are the body, one behind the other. */
export function grpcOutcome(call: GrpcMethod, messages: readonly Uint8Array[]): CallOutcome {
  return {
    upstream: grpcUpstream(call),
    headers: [[":path", `/${call.service}/${call.method}`], ...headerPairs(call.metadata)],
    body: Buffer.concat(messages),
  };
}

/** Brings what a case says a stream gets; undefined stands for an upstream that is not there. */
export function bringStreamAnswer(answer: TestCall | undefined, events: GrpcEvents): void {
  const { headers = [], trailers = [] } = answer ?? {};
  const { status, text, messages } = grpcOf(answer);
  if (headers.length > 0) events.initialMetadata(headerLines(headers));
  for (const message of messages) events.message(message);
  if (trailers.length > 0) events.trailingMetadata(headerLines(trailers));
  events.close(status, text);
}

/** The same for a call: one message, or why there is none. */
export function bringCallAnswer(answer: TestCall | undefined, events: GrpcEvents): void {
  const { status, text, messages } = grpcOf(answer);
  if (status === 0) events.message(messages[0] ?? new Uint8Array());
  events.close(status, text);
}

function grpcOf(answer: TestCall | undefined): TestGrpc {
  return (!answer?.fails && answer?.grpc) || nobody;
}
