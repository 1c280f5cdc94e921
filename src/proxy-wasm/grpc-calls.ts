import { BufferType, Status } from "./abi.ts";
import { type HeaderLine, HeaderMap } from "./header-map.ts";
import type { GrpcCall, GrpcEvents, GrpcMethod, GrpcStream } from "./outside.ts";
import { type Begun, CallKind, createPendingCalls, kindOf } from "./pending-calls.ts";
import type { PluginContext } from "./plugin-context.ts";

/** The gRPC calls and streams of a plugin, and the metadata that it reads just now. */
export type GrpcCalls = ReturnType<typeof createGrpcCalls>;

type Metadata = "initialMetadata" | "trailingMetadata";

const isCall = (token: number) => kindOf(token) === CallKind.GrpcCall;
const isStream = (token: number) => kindOf(token) === CallKind.GrpcStream;
/** Of a stream whose other side has ended, while the guest is told so. */
const endedStream: GrpcStream = { send() {}, close() {}, cancel() {} };

export function createGrpcCalls(root: PluginContext) {
  const { vm } = root;
  const { guest } = vm;
  const pending = createPendingCalls(vm);
  const streams = new Map<number, GrpcStream>();
  const calls = {
    initialMetadata: undefined as HeaderMap | undefined,
    trailingMetadata: undefined as HeaderMap | undefined,
    call,
    stream,
    send,
    cancel,
    close,
    cancelAll,
  };
  return calls;

  function call(call: GrpcCall): Begun {
    const token = vm.nextToken(CallKind.GrpcCall);
    return pending.begin(token, Status.ParseFailure, () => vm.outside.grpcCall(call, eventsOf(token)));
  }

  function stream(method: GrpcMethod): Begun {
    const token = vm.nextToken(CallKind.GrpcStream);
    return pending.begin(token, Status.ParseFailure, () => {
      const stream = vm.outside.grpcStream(method, eventsOf(token));
      if (typeof stream === "string") return stream;
      streams.set(token, stream);
      return () => stream.cancel();
    });
  }

  /** Of a call the guest learns what it gave, or why it gave nothing; of a stream all that comes. */
  function eventsOf(token: number): GrpcEvents {
    const streamed = (action: () => void) => isStream(token) && pending.continue(token, action);
    return {
      initialMetadata: (lines) => void streamed(() => onMetadata(token, "initialMetadata", lines)),
      message: (bytes) => pending.continue(token, () => onMessage(token, bytes)),
      trailingMetadata: (lines) => void streamed(() => onMetadata(token, "trailingMetadata", lines)),
      close: (status, text) => pending.settle(token, () => onClose(token, status, text)),
    };
  }

  function onMetadata(token: number, which: Metadata, lines: readonly HeaderLine[]): void {
    const { proxy_on_grpc_receive_initial_metadata, proxy_on_grpc_receive_trailing_metadata } = guest;
    const callback =
      which === "initialMetadata"
        ? proxy_on_grpc_receive_initial_metadata
        : proxy_on_grpc_receive_trailing_metadata;
    if (!callback) return;
    calls[which] = HeaderMap.from(lines);
    vm.call(root, callback, root.id, token, lines.length);
    calls[which] = undefined;
  }

  /** The one message of a call ends it: no close comes then. */
  function onMessage(token: number, bytes: Uint8Array): void {
    if (isCall(token)) pending.forget(token);
    const callback = guest.proxy_on_grpc_receive;
    if (!callback) return;
    root.calls.withBuffer(BufferType.GrpcMessage, bytes, () =>
      vm.call(root, callback, root.id, token, bytes.length),
    );
  }

  function onClose(token: number, status: number, text: string): void {
    const callback = guest.proxy_on_grpc_close;
    if (streams.has(token)) streams.set(token, endedStream);
    if (callback) root.calls.withStatus(status, text, () => vm.call(root, callback, root.id, token, status));
    streams.delete(token);
  }

  function send(token: number, message: Uint8Array, endOfStream: boolean): Status {
    if (!isStream(token)) return Status.BadArgument;
    const stream = streams.get(token);
    stream?.send(message, endOfStream);
    return stream ? Status.Ok : Status.NotFound;
  }

  function cancel(token: number): Status {
    if (!isCall(token) && !isStream(token)) return Status.BadArgument;
    const known = streams.delete(token);
    return pending.cancel(token) || known ? Status.Ok : Status.NotFound;
  }

  /** Ends the sending side of a stream; of a call, there is nothing left but to cancel it. */
  function close(token: number): Status {
    const stream = streams.get(token);
    if (!stream) return cancel(token);
    stream.close();
    return Status.Ok;
  }

  function cancelAll(): void {
    streams.clear();
    pending.cancelAll();
  }
}
