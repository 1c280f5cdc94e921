import { type ClientHttp2Stream, connect } from "node:http2";
import { setTimeout } from "node:timers/promises";
import { type RequestMessage, showBytes, toChunks } from "../case-file.ts";
import type { Received } from "../case-result.ts";
import { headerObject, lines, sendBody } from "./upstreams.ts";

/** How a request is sent. */
export interface Sending {
  readonly port: number;
  readonly request: RequestMessage;
  /** Resolves when the proxy has read this many bytes from the connection. */
  readonly flushed: (bytes: number) => Promise<void>;
  /** Resolves when the client shall give up. */
  readonly cancelled: Promise<void>;
}

/** What came back, and whether the stream was cut before its end. */
export interface Sent {
  readonly received: Received;
  readonly cut: boolean;
}

/** Sends a request over HTTP/2 and gives the whole response; undefined if the stream was cut before there was one. */
export async function send({ port, request, flushed, cancelled }: Sending): Promise<Sent | undefined> {
  const session = connect(`http://127.0.0.1:${port}`);
  session.on("error", () => {});
  try {
    const chunks = toChunks(request.body);
    const { trailers, endAlone = false } = request;
    const bare = chunks.length === 0 && !trailers && !endAlone;
    const stream = session.request(headerObject(request.headers), {
      endStream: bare,
      waitForTrailers: trailers !== undefined,
    });
    if (trailers) stream.once("wantTrailers", () => stream.sendTrailers(headerObject(trailers)));
    const response = collect(stream);
    void cancelled.then(() => stream.close(8));
    if (!bare) {
      const sent = sendBody(stream, {
        chunks,
        endAlone,
        flushed: () => flushed(session.socket.bytesWritten),
      });
      sent
        .then(() => (endAlone || chunks.length === 0 ? stream.end() : undefined))
        .catch(() => stream.close(8));
    }
    return await Promise.race([response, tooLate()]);
  } finally {
    session.destroy();
  }
}

const timeoutMs = 20_000;

async function tooLate(): Promise<never> {
  await setTimeout(timeoutMs, undefined, { ref: false });
  throw new Error(`the stream did not end within ${timeoutMs} ms`);
}

function collect(stream: ClientHttp2Stream): Promise<Sent | undefined> {
  const received = { headers: [] as Received["headers"], body: "", trailers: [] as Received["trailers"] };
  const chunks: Buffer[] = [];
  stream.on("error", () => {});
  stream.on("response", (_headers, _flags, raw?: string[]) => {
    received.headers = lines(raw ?? []);
  });
  stream.on("trailers", (_headers, _flags, raw?: string[]) => {
    received.trailers = lines(raw ?? []);
  });
  stream.on("data", (chunk: Buffer) => chunks.push(chunk));
  return new Promise((resolve) => {
    stream.on("close", () => {
      received.body = showBytes(Buffer.concat(chunks));
      resolve(received.headers.length > 0 ? { received, cut: stream.rstCode !== 0 } : undefined);
    });
  });
}
