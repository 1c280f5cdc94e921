import { proxy_http_call } from "./abi";
import { Body } from "./body";
import { BufferType, MapType, Status } from "./enums";
import { Header, HeaderMap } from "./headers";
import { parseInteger } from "./integer";
import { sizeSlot } from "./memory";
import { encodePairs } from "./pairs";
import { addCall, CallFamily, enterCall, forgetCall, PendingCall } from "./pending-calls";
import { firstArgument } from "./text";

const noHeaders: Header[] = [];

/** Gets the answer to an HTTP call. A filter may be one itself: `class Check extends HttpFilter implements HttpReceiver`. */
export interface HttpReceiver {
  /** The answer is there, or the call failed. Hostcalls are about the context that called; call `continueStream` to let it go on. */
  onHttpAnswer(answer: HttpAnswer): void;
}

/** The answer to an HTTP call. It can be read until the callback returns. */
export class HttpAnswer {
  constructor(
    private headerCount: u32,
    /** Bytes of the body. */
    readonly bodySize: u32,
  ) {}

  /** Nobody answered: the connection failed or was cut. An answer that took too long is one of status 504. */
  get isFailed(): bool {
    return this.headerCount == 0;
  }

  /** Status code; 0 when there is none. */
  get status(): u32 {
    const text = this.headers.get(":status");
    if (text === null) return 0;
    const status = parseInteger(text);
    return status === null ? 0 : (status.value as u32);
  }

  get headers(): HeaderMap {
    return answerHeaders;
  }

  get body(): Body {
    return answerBody;
  }

  get trailers(): HeaderMap {
    return answerTrailers;
  }
}

const answerHeaders = new HeaderMap(MapType.HttpCallHeaders);
const answerTrailers = new HeaderMap(MapType.HttpCallTrailers);
const answerBody = new Body(BufferType.HttpCallBody);

class PendingHttpCall extends PendingCall {
  constructor(readonly receiver: HttpReceiver) {
    super();
  }
}

/**
 * Sends a request to a cluster of the proxy, such as `outbound|80||auth.ns.svc.cluster.local`. The headers must have `:method`,
 * `:path` and `:authority`. BadArgument: they have not, or there is no such cluster; the receiver hears nothing then. An answer
 * to a stream that is over reaches nobody. A timeout of 0 is none.
 */
export function httpCall(
  upstream: string,
  headers: Header[],
  body: ArrayBuffer | null,
  timeoutMilliseconds: u32,
  receiver: HttpReceiver,
  trailers: Header[] = noHeaders,
): Status {
  const name = firstArgument.put(upstream);
  const lines = encodePairs(headers);
  const lastLines = encodePairs(trailers);
  const status = proxy_http_call(
    name,
    firstArgument.size,
    changetype<usize>(lines),
    lines.byteLength,
    changetype<usize>(body),
    body === null ? 0 : body.byteLength,
    changetype<usize>(lastLines),
    lastLines.byteLength,
    timeoutMilliseconds,
    sizeSlot(),
  );
  if (status == Status.Ok) addCall(CallFamily.Http, load<u32>(sizeSlot()), new PendingHttpCall(receiver));
  return status;
}

/** Hands an answer to who waits for it. */
export function receiveHttpAnswer(token: u32, headers: u32, bodySize: u32): void {
  const call = enterCall(CallFamily.Http, token);
  if (call === null) return;
  forgetCall(CallFamily.Http, token);
  (call as PendingHttpCall).receiver.onHttpAnswer(new HttpAnswer(headers, bodySize));
}
