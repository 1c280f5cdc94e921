import { type ClientHttp2Stream, constants } from "node:http2";
import { SystemError } from "../system-error.ts";
import type { Connected } from "./connect-http2.ts";
import { createPulse } from "./pulse.ts";
import { type Answer, connectionLost, type TransportRequest, Unanswered } from "./transport.ts";

const { NGHTTP2_CANCEL, NGHTTP2_REFUSED_STREAM } = constants;

/** A connection without a request for so long ends. */
const idleMs = 60_000;

/** A connection of HTTP/2, which carries many requests at once. */
export interface Http2Connection {
  /** Whether another request may begin on it. */
  readonly hasRoom: boolean;
  /** @throws Unanswered where the connection, or this request on it, ends before there is an answer */
  exchange(request: TransportRequest): Promise<Answer>;
  /** Takes no more requests, and ends after the last answer. */
  close(): void;
}

export interface Http2ConnectionOptions extends Connected {
  /** The server's address, for messages. */
  readonly origin: string;
  /** How long it may be silent until it is asked whether it lives, in milliseconds; and then for an answer. */
  readonly pingMs: number;
  readonly onEnd: () => void;
}

export function createHttp2Connection(options: Http2ConnectionOptions): Http2Connection {
  const { session, socket, origin, pingMs, onEnd } = options;
  const bytesRead = () => socket.bytesRead;
  let open = 0;
  let usedAt = performance.now();
  /** It may be dead for as long as no more bytes than these were read. */
  let doubtedAt = -1;
  /** The last stream that the server has read, if it says so. */
  let lastRead = Number.POSITIVE_INFINITY;

  const pulse = createPulse({
    ...{ pingMs, bytesRead },
    ping: (answered) => !session.destroyed && session.ping((error) => !error && answered()),
    onBeat() {
      if (open === 0 && performance.now() - usedAt >= idleMs) session.close();
    },
    onDead() {
      const seconds = (2 * pingMs) / 1000;
      session.destroy(new SystemError("timeout", `${origin} has said nothing for ${seconds} seconds`));
    },
  });
  session.on("goaway", (_code, last) => {
    lastRead = last;
  });
  session.once("close", () => {
    pulse.end();
    onEnd();
  });
  session.unref();

  function doubt(): void {
    doubtedAt = bytesRead();
    pulse.ask();
  }

  function begin(stream: ClientHttp2Stream, signal: AbortSignal): void {
    if (open++ === 0) session.ref();
    const abort = () => {
      if ((signal.reason as Partial<Error> | undefined)?.name === "TimeoutError") doubt();
      stream.close(NGHTTP2_CANCEL);
      stream.destroy(new Error("given up"));
    };
    signal.addEventListener("abort", abort, { once: true });
    stream.once("close", () => {
      signal.removeEventListener("abort", abort);
      usedAt = performance.now();
      if (--open === 0) session.unref();
    });
  }

  return {
    get hasRoom() {
      const most = Math.max(1, session.remoteSettings.maxConcurrentStreams ?? 1);
      return !session.closed && !session.destroyed && open < most && doubtedAt !== bytesRead();
    },
    async exchange({ method, url, headers, body, signal }) {
      signal.throwIfAborted();
      const head = { ...headers, ":method": method, ":path": url.pathname + url.search };
      const stream = session.request(head, { endStream: body === undefined });
      begin(stream, signal);
      if (body !== undefined) stream.end(body);
      try {
        return await answerOf(stream, origin);
      } catch (error) {
        throw new Unanswered(
          stream.rstCode === NGHTTP2_REFUSED_STREAM || Number(stream.id) > lastRead,
          error,
        );
      }
    },
    close: () => session.close(),
  };
}

function answerOf(stream: ClientHttp2Stream, origin: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    stream.once("response", (headers) =>
      resolve({
        status: headers[":status"] ?? 0,
        retryAfter: headers["retry-after"],
        body: bodyOf(stream, origin),
      }),
    );
    // There may be one after the answer too, which the reader of the body is told.
    stream.on("error", reject);
    stream.once("close", () => reject(connectionLost(origin)));
  });
}

/** Node ends a body that was cut off as one that is complete. */
async function* bodyOf(stream: ClientHttp2Stream, origin: string): AsyncGenerator<Buffer, void, undefined> {
  yield* stream as AsyncIterable<Buffer>;
  if (!stream.readableEnded) throw connectionLost(origin);
}
