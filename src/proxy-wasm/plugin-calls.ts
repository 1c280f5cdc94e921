import { BufferType, Status } from "./abi.ts";
import { ConstantBuffer, type GuestBuffer } from "./body.ts";
import { HeaderMap } from "./header-map.ts";
import type { HttpAnswer, HttpCall } from "./outside.ts";
import { type Begun, CallKind, createPendingCalls } from "./pending-calls.ts";
import type { PluginContext } from "./plugin-context.ts";

/** The calls of a plugin by HTTP, Redis and DNS, and the answer that it reads just now. */
export type PluginCalls = ReturnType<typeof createCalls>;

interface Address {
  readonly address: string;
  readonly ttlSeconds: number;
}

const nothing = new Uint8Array(0);

export function createCalls(root: PluginContext) {
  const { vm } = root;
  const { guest, outside } = vm;
  const pending = createPendingCalls(vm);
  const pendingNames = createPendingCalls(vm);
  const buffers = new Map<BufferType, GuestBuffer>();
  const calls = {
    headers: undefined as HeaderMap | undefined,
    trailers: undefined as HeaderMap | undefined,
    /** Of the last call that failed, or of the gRPC call that is being closed. */
    statusCode: 0,
    statusText: "",
    buffer: (type: BufferType) => buffers.get(type),
    http,
    redis,
    dns,
    withBuffer,
    withStatus,
    cancelAll() {
      pending.cancelAll();
      pendingNames.cancelAll();
    },
  };
  return calls;

  function http(call: HttpCall): Begun {
    const token = vm.nextToken(CallKind.Http);
    const done = (answer: HttpAnswer | undefined) => pending.settle(token, () => onHttpAnswer(token, answer));
    return pending.begin(token, Status.BadArgument, () => outside.httpCall(call, done));
  }

  function onHttpAnswer(token: number, answer: HttpAnswer | undefined): void {
    const callback = guest.proxy_on_http_call_response;
    if (!callback) return;
    if (!answer) {
      withStatus(Status.BrokenConnection, "reset", () => vm.call(root, callback, root.id, token, 0, 0, 0));
      return;
    }
    const { headers, body, trailers } = answer;
    calls.headers = HeaderMap.from(headers);
    calls.trailers = HeaderMap.from(trailers);
    withBuffer(BufferType.CallBody, body, () =>
      vm.call(root, callback, root.id, token, headers.length, body.length, trailers.length),
    );
    calls.headers = undefined;
    calls.trailers = undefined;
  }

  function redis(upstream: string, query: Uint8Array): Begun {
    const token = vm.nextToken(CallKind.Other);
    const done = (answer: Uint8Array | undefined) =>
      pending.settle(token, () => onRedisAnswer(token, answer));
    return pending.begin(token, Status.BadArgument, () => outside.redisCall(upstream, query, done));
  }

  function onRedisAnswer(token: number, answer: Uint8Array | undefined): void {
    const callback = guest.proxy_on_redis_call_response;
    if (!callback) return;
    const [status, bytes] = answer ? [Status.Ok, answer] : [Status.NotFound, nothing];
    withBuffer(BufferType.RedisResponse, bytes, () =>
      vm.call(root, callback, root.id, token, status, bytes.length, 0),
    );
  }

  function dns(name: string): Begun {
    const token = vm.nextNameToken();
    const done = (addresses: readonly Address[]) => pendingNames.settle(token, () => onDns(token, addresses));
    return pendingNames.begin(token, Status.BadArgument, () => outside.resolveDns(name, done));
  }

  function onDns(token: number, addresses: readonly Address[]): void {
    const callback = guest.envoy_on_resolve_dns;
    if (!callback) return;
    const bytes = encodeAddresses(addresses);
    withBuffer(BufferType.ForeignArguments, bytes, () =>
      vm.call(root, callback, root.id, token, bytes.length),
    );
  }

  /** Lets the guest read this while something runs. */
  function withBuffer(type: BufferType, bytes: Uint8Array, run: () => void): void {
    buffers.set(type, new ConstantBuffer(bytes));
    run();
    buffers.delete(type);
  }

  /** Lets the guest read why a call has failed. As in Envoy, the code stays. */
  function withStatus(code: number, text: string, run: () => void): void {
    calls.statusCode = code;
    calls.statusText = text;
    run();
    calls.statusText = "";
  }
}

// Unlike Envoy: a count of none can be read; there a guest is told of its four bytes and finds nothing.
/** As Envoy: the count, each time to live, each address with a NUL behind it. */
function encodeAddresses(addresses: readonly Address[]): Uint8Array {
  const numbers = Uint32Array.of(addresses.length, ...addresses.map(({ ttlSeconds }) => ttlSeconds));
  const text = addresses.map(({ address }) => `${address}\0`).join("");
  return Buffer.concat([Buffer.from(numbers.buffer), Buffer.from(text, "latin1")]);
}
