import { proxy_grpc_call, proxy_grpc_cancel, proxy_grpc_close, proxy_grpc_send, proxy_grpc_stream } from "./abi";
import { readBuffer } from "./body";
import { BufferType, MapType, Status } from "./enums";
import { Header, HeaderMap } from "./headers";
import { sizeSlot } from "./memory";
import { encodePairs } from "./pairs";
import { addCall, CallFamily, enterCall, forgetCall, PendingCall } from "./pending-calls";
import { bytesOf } from "./text";

const noBytes = new ArrayBuffer(0);

/** Gets what comes of a gRPC call or stream. Hostcalls are about the context that called. */
export abstract class GrpcReceiver {
  /** A stream's first metadata came. It can be read until the callback returns. */
  onInitialMetadata(metadata: HeaderMap): void {}

  /** A message came: the only one of a call, which is over with it. */
  onMessage(message: ArrayBuffer): void {}

  /** A stream's last metadata came. It can be read until the callback returns. */
  onTrailingMetadata(metadata: HeaderMap): void {}

  /** A stream is over, or a call failed. `status` is a gRPC status code; `readCallStatus()` has the text. */
  onClose(status: i32): void {}
}

/** What is sent to: a method of a service of a cluster, or of a serialised `envoy.config.core.v3.GrpcService`. */
export class GrpcMethod {
  readonly upstreamBytes: ArrayBuffer;

  /** `upstream` is a cluster's name. */
  constructor(
    upstream: string,
    readonly service: string,
    readonly method: string,
  ) {
    this.upstreamBytes = bytesOf(upstream);
  }
}

/** A gRPC call or stream that runs. */
export class GrpcStream {
  constructor(readonly token: u32) {}

  /** Sends a message on a stream; `endOfStream`: it is the last one. */
  send(message: ArrayBuffer, endOfStream: bool = false): bool {
    const bytes = changetype<usize>(message);
    return proxy_grpc_send(this.token, bytes, message.byteLength, endOfStream ? 1 : 0) == Status.Ok;
  }

  /** Says that nothing more will be sent. */
  close(): bool {
    return proxy_grpc_close(this.token) == Status.Ok;
  }

  /** Ends it. The receiver hears nothing more. */
  cancel(): bool {
    forgetCall(CallFamily.Grpc, this.token);
    return proxy_grpc_cancel(this.token) == Status.Ok;
  }
}

class PendingGrpcCall extends PendingCall {
  constructor(
    readonly receiver: GrpcReceiver,
    readonly isStream: bool,
  ) {
    super();
  }
}

const initialMetadata = new HeaderMap(MapType.GrpcInitialMetadata);
const trailingMetadata = new HeaderMap(MapType.GrpcTrailingMetadata);

/** Sends one message and waits for one; null when the proxy does not know the upstream. */
export function grpcCall(
  to: GrpcMethod,
  metadata: Header[],
  message: ArrayBuffer,
  timeoutMilliseconds: u32,
  receiver: GrpcReceiver,
): GrpcStream | null {
  const service = bytesOf(to.service);
  const method = bytesOf(to.method);
  const lines = encodePairs(metadata);
  const status = proxy_grpc_call(
    changetype<usize>(to.upstreamBytes),
    to.upstreamBytes.byteLength,
    changetype<usize>(service),
    service.byteLength,
    changetype<usize>(method),
    method.byteLength,
    changetype<usize>(lines),
    lines.byteLength,
    changetype<usize>(message),
    message.byteLength,
    timeoutMilliseconds,
    sizeSlot(),
  );
  return status == Status.Ok ? begin(new PendingGrpcCall(receiver, false)) : null;
}

/** Opens a stream of messages in both directions; null when the proxy does not know the upstream. */
export function openGrpcStream(to: GrpcMethod, metadata: Header[], receiver: GrpcReceiver): GrpcStream | null {
  const service = bytesOf(to.service);
  const method = bytesOf(to.method);
  const lines = encodePairs(metadata);
  const status = proxy_grpc_stream(
    changetype<usize>(to.upstreamBytes),
    to.upstreamBytes.byteLength,
    changetype<usize>(service),
    service.byteLength,
    changetype<usize>(method),
    method.byteLength,
    changetype<usize>(lines),
    lines.byteLength,
    sizeSlot(),
  );
  return status == Status.Ok ? begin(new PendingGrpcCall(receiver, true)) : null;
}

function begin(call: PendingGrpcCall): GrpcStream {
  const token = load<u32>(sizeSlot());
  addCall(CallFamily.Grpc, token, call);
  return new GrpcStream(token);
}

/** Hands a stream's metadata to who waits for it. */
export function receiveGrpcMetadata(token: u32, isInitial: bool): void {
  const call = enterCall(CallFamily.Grpc, token);
  if (call === null) return;
  const receiver = (call as PendingGrpcCall).receiver;
  if (isInitial) receiver.onInitialMetadata(initialMetadata);
  else receiver.onTrailingMetadata(trailingMetadata);
}

/** Hands a message to who waits for it. */
export function receiveGrpcMessage(token: u32): void {
  const call = enterCall(CallFamily.Grpc, token) as PendingGrpcCall | null;
  if (call === null) return;
  if (!call.isStream) forgetCall(CallFamily.Grpc, token);
  const message = readBuffer(BufferType.GrpcMessage);
  call.receiver.onMessage(message === null ? noBytes : message);
}

/** Tells who waits that nothing more comes. */
export function receiveGrpcClose(token: u32, status: i32): void {
  const call = enterCall(CallFamily.Grpc, token);
  forgetCall(CallFamily.Grpc, token);
  if (call !== null) (call as PendingGrpcCall).receiver.onClose(status);
}
