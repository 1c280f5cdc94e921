import { BufferType, Status } from "./abi.ts";
import { ConstantBuffer, type GuestBuffer } from "./body.ts";
import { type HeaderLine, HeaderMap } from "./header-map.ts";
import type {
  CallRefusal,
  Cancel,
  GrpcCall,
  GrpcEvents,
  GrpcMethod,
  GrpcStream,
  HttpAnswer,
  HttpCall,
} from "./outside.ts";
import type { PluginContext } from "./plugin-context.ts";

/** A token that was given to the guest, or why there is none. */
export type Begun = { readonly token: number } | { readonly status: Status };

/** The calls of a plugin that are under way, and the answer that it reads just now. */
export type PluginCalls = ReturnType<typeof createCalls>;

const maxCalls = 100_000;

export function createCalls(root: PluginContext) {
  const { vm } = root;
  const pending = new Map<number, Cancel>();
  const streams = new Map<number, GrpcStream>();
  const buffers = new Map<BufferType, GuestBuffer>();
  const calls = {
    headers: undefined as HeaderMap | undefined,
    trailers: undefined as HeaderMap | undefined,
    initialMetadata: undefined as HeaderMap | undefined,
    trailingMetadata: undefined as HeaderMap | undefined,
    /** Of the last call that failed, or of the gRPC call that is being closed. */
    statusCode: 0,
    statusText: "",
    buffer: (type: BufferType) => buffers.get(type),
    http,
    grpc,
    grpcStream,
    grpcSend,
    grpcCancel,
    grpcClose,
    redis,
    dns,
    withBuffer,
    cancelAll,
  };
  return calls;

  function http(call: HttpCall): Begun {
    const token = vm.nextToken();
    return begin(token, Status.BadArgument, () =>
      vm.outside.httpCall(call, (answer) => settle(token, () => onHttpAnswer(token, answer))),
    );
  }

  function onHttpAnswer(token: number, answer: HttpAnswer | undefined): void {
    const callback = vm.guest.proxy_on_http_call_response;
    if (!callback) return;
    if (!answer) {
      calls.statusCode = Status.BrokenConnection;
      calls.statusText = "reset";
      vm.call(root, callback, root.id, token, 0, 0, 0);
      calls.statusText = "";
      return;
    }
    calls.headers = HeaderMap.from(answer.headers);
    calls.trailers = HeaderMap.from(answer.trailers);
    withBuffer(BufferType.CallBody, answer.body, () => {
      vm.call(
        root,
        callback,
        root.id,
        token,
        answer.headers.length,
        answer.body.length,
        answer.trailers.length,
      );
    });
    calls.headers = undefined;
    calls.trailers = undefined;
  }

  /** gRPC's tokens say what they are for: odd is a call, even a stream. */
  function grpc(call: GrpcCall): Begun {
    const token = vm.nextToken(1);
    return begin(token, Status.ParseFailure, () => vm.outside.grpcCall(call, grpcEvents(token)));
  }

  function grpcStream(method: GrpcMethod): Begun {
    const token = vm.nextToken(0);
    return begin(token, Status.ParseFailure, () => {
      const stream = vm.outside.grpcStream(method, grpcEvents(token));
      if (typeof stream === "string") return stream;
      streams.set(token, stream);
      return () => stream.cancel();
    });
  }

  function grpcEvents(token: number): GrpcEvents {
    const { guest } = vm;
    const isCall = token % 2 === 1;
    const whilePending = (action: () => void) => vm.afterCall(() => pending.has(token) && action());
    return {
      initialMetadata: (lines) =>
        whilePending(() => metadata("initialMetadata", guest.proxy_on_grpc_receive_initial_metadata, lines)),
      trailingMetadata: (lines) =>
        whilePending(() =>
          metadata("trailingMetadata", guest.proxy_on_grpc_receive_trailing_metadata, lines),
        ),
      message: (bytes) =>
        whilePending(() => {
          // The one message of a call ends it: there is no close then.
          if (isCall) forget(token);
          const callback = guest.proxy_on_grpc_receive;
          if (callback)
            withBuffer(BufferType.GrpcMessage, bytes, () =>
              vm.call(root, callback, root.id, token, bytes.length),
            );
        }),
      close: (status, text) => settle(token, () => onGrpcClose(token, status, text)),
    };

    function metadata(
      which: "initialMetadata" | "trailingMetadata",
      callback: (typeof guest)[string],
      lines: readonly HeaderLine[],
    ): void {
      if (!callback) return;
      calls[which] = HeaderMap.from(lines);
      vm.call(root, callback, root.id, token, lines.length);
      calls[which] = undefined;
    }
  }

  function onGrpcClose(token: number, status: number, text: string): void {
    const callback = vm.guest.proxy_on_grpc_close;
    if (!callback) return;
    calls.statusCode = status;
    calls.statusText = text;
    vm.call(root, callback, root.id, token, status);
    calls.statusText = "";
  }

  function grpcSend(token: number, message: Uint8Array, endOfStream: boolean): Status {
    if (token % 2 === 1) return Status.BadArgument;
    const stream = streams.get(token);
    stream?.send(message, endOfStream);
    return stream ? Status.Ok : Status.NotFound;
  }

  function grpcCancel(token: number): Status {
    const cancel = pending.get(token);
    forget(token);
    cancel?.();
    return cancel ? Status.Ok : Status.NotFound;
  }

  function grpcClose(token: number): Status {
    const stream = streams.get(token);
    if (!stream) return grpcCancel(token);
    stream.close();
    return Status.Ok;
  }

  function redis(upstream: string, query: Uint8Array): Begun {
    const token = vm.nextToken();
    return begin(token, Status.BadArgument, () =>
      vm.outside.redisCall(upstream, query, (answer) => settle(token, () => onRedisAnswer(token, answer))),
    );
  }

  function onRedisAnswer(token: number, answer: Uint8Array | undefined): void {
    const callback = vm.guest.proxy_on_redis_call_response;
    const bytes = answer ?? new Uint8Array(0);
    if (!callback) return;
    withBuffer(BufferType.RedisResponse, bytes, () =>
      vm.call(root, callback, root.id, token, answer ? Status.Ok : Status.NotFound, bytes.length, 0),
    );
  }

  function dns(name: string): Begun {
    const token = vm.nextToken();
    return begin(token, Status.BadArgument, () =>
      vm.outside.resolveDns(name, (addresses) => settle(token, () => onDns(token, addresses))),
    );
  }

  function onDns(token: number, addresses: readonly { address: string; ttlSeconds: number }[]): void {
    const callback = vm.guest.envoy_on_resolve_dns;
    if (!callback) return;
    const bytes = addresses.length === 0 ? new Uint8Array(0) : encodeAddresses(addresses);
    withBuffer(BufferType.CallBody, bytes, () => vm.call(root, callback, root.id, token, bytes.length));
  }

  /** Lets the guest read this while something runs. */
  function withBuffer(type: BufferType, bytes: Uint8Array, run: () => void): void {
    buffers.set(type, new ConstantBuffer(bytes));
    run();
    buffers.delete(type);
  }

  function begin(token: number, unknownUpstream: Status, start: () => Cancel | CallRefusal): Begun {
    if (pending.size >= maxCalls) return { status: Status.InternalFailure };
    const cancel = start();
    if (cancel === "unknown-upstream") return { status: unknownUpstream };
    if (cancel === "failed") return { status: Status.InternalFailure };
    pending.set(token, cancel);
    return { token };
  }

  /** The last that comes of a call. */
  function settle(token: number, action: () => void): void {
    vm.afterCall(() => {
      if (!pending.has(token)) return;
      forget(token);
      action();
    });
  }

  function forget(token: number): void {
    pending.delete(token);
    streams.delete(token);
  }

  function cancelAll(): void {
    const cancels = [...pending.values()];
    pending.clear();
    streams.clear();
    for (const cancel of cancels) cancel();
  }
}

/** As Envoy: the count, each time to live, each address with a NUL behind it. */
function encodeAddresses(addresses: readonly { address: string; ttlSeconds: number }[]): Uint8Array {
  const numbers = Uint32Array.of(addresses.length, ...addresses.map(({ ttlSeconds }) => ttlSeconds));
  const text = addresses.map(({ address }) => `${address}\0`).join("");
  return Buffer.concat([Buffer.from(numbers.buffer), Buffer.from(text, "latin1")]);
}
