import { createServer, type Http2Server, type ServerHttp2Session, type ServerHttp2Stream } from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import type { Writable } from "node:stream";
import {
  type CallAnswer,
  type Line,
  type ResponseMessage,
  showBytes,
  toBuffer,
  toChunks,
} from "../case-file.ts";
import type { Received } from "../case-result.ts";

/** An HTTP/2 server on a port of its own that notes what comes and answers as it is told. */
export interface Upstream {
  readonly name: string;
  readonly port: number;
  /** Takes what came since the last time, in the order in which the requests began. */
  take(): Received[];
  /** Bytes that it has sent on all its connections. */
  bytesWritten(): number;
  close(): Promise<void>;
}

/** Writes the answer to one request; `body` is what had come when it is called. */
export type Answer = (stream: ServerHttp2Stream, ended: Promise<void>) => Promise<void>;

/** Node would add a date, which no case has. */
const noDate = { sendDate: false };

interface Noted {
  headers: Line[];
  body: string;
  trailers: Line[];
}

/** Starts an upstream; `answer` gives what to do with the next request. */
export async function startUpstream(name: string, answer: () => Answer): Promise<Upstream> {
  let received: Noted[] = [];
  const sessions = new Set<ServerHttp2Session>();
  const sockets = new Set<Socket>();
  const server: Http2Server = createServer();
  server.on("connection", (socket) => sockets.add(socket));
  server.on("session", (session) => {
    sessions.add(session);
    session.on("error", () => {});
    session.on("close", () => sessions.delete(session));
  });
  server.on("stream", (stream: ServerHttp2Stream, _headers: object, _flags: number, raw: string[]) => {
    const noted: Noted = { headers: lines(raw), body: "", trailers: [] };
    received.push(noted);
    const ended = note(stream, noted);
    answer()(stream, ended).catch((error: Error) => stream.destroy(error));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    name,
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = received;
      received = [];
      return taken;
    },
    bytesWritten: () => [...sockets].reduce((sum, socket) => sum + socket.bytesWritten, 0),
    async close() {
      for (const session of sessions) session.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Resolves when the request has ended or was cut. */
function note(stream: ServerHttp2Stream, noted: Noted): Promise<void> {
  const chunks: Buffer[] = [];
  stream.on("error", () => {});
  stream.on("data", (chunk: Buffer) => {
    chunks.push(chunk);
    noted.body = showBytes(Buffer.concat(chunks));
  });
  stream.on("trailers", (_headers: object, _flags: number, raw: string[]) => {
    noted.trailers = lines(raw);
  });
  return new Promise((resolve) => {
    stream.once("end", resolve);
    stream.once("close", resolve);
  });
}

/** Pairs of what Node gives as one list. */
export function lines(raw: readonly string[]): Line[] {
  const found: Line[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) found.push([raw[i]!, raw[i + 1]!]);
  return found;
}

/** Header lines as Node sends them: repeated names as a list. */
export function headerObject(headers: readonly Line[]): Record<string, string | string[]> {
  const object: Record<string, string | string[]> = {};
  for (const [name, value] of headers) {
    const before = object[name];
    object[name] = before === undefined ? value : [before, value].flat();
  }
  return object;
}

/** The upstream's answer of a case; `flushed` resolves when the proxy has read all that was sent so far. */
export function answerWith(message: ResponseMessage | undefined, flushed: () => Promise<void>): Answer {
  return async (stream, ended) => {
    if (!message?.early) await ended;
    if (stream.destroyed) return;
    const { headers = [[":status", "200"]], trailers, endAlone, reset } = message ?? {};
    const chunks = toChunks(message?.body);
    const bare = chunks.length === 0 && !trailers && !endAlone && !reset;
    stream.respond(headerObject(headers), {
      endStream: bare,
      waitForTrailers: trailers !== undefined,
      ...noDate,
    });
    if (trailers) stream.once("wantTrailers", () => stream.sendTrailers(headerObject(trailers)));
    if (bare) return;
    await sendBody(stream, { chunks, endAlone: endAlone || reset || false, flushed });
    if (reset) stream.destroy(new Error("cut"));
    else if (endAlone || chunks.length === 0) stream.end();
  };
}

/** Writes a body chunk by chunk; the last one with the end of the stream, unless that comes alone. */
export async function sendBody(
  stream: Writable,
  body: {
    readonly chunks: readonly Buffer[];
    readonly endAlone: boolean;
    readonly flushed: () => Promise<void>;
  },
): Promise<void> {
  for (const [i, chunk] of body.chunks.entries()) {
    await body.flushed();
    if (i === body.chunks.length - 1 && !body.endAlone) stream.end(chunk);
    else await new Promise<void>((resolve) => stream.write(chunk, () => resolve()));
  }
  if (body.endAlone) await body.flushed();
}

/** The answer of a called upstream; undefined for a call that no case expects. */
export function answerCall(call: CallAnswer | undefined): Answer {
  return async (stream, ended) => {
    if (call?.messages || call?.grpcStatus !== undefined) return answerGrpc(stream, ended, call);
    await ended;
    if (call?.hang || stream.destroyed) return;
    if (call?.reset) return void stream.close(2);
    const { status = 200, headers = [], body, trailers } = call ?? { status: 599 };
    const bytes = body === undefined ? Buffer.alloc(0) : toBuffer(body);
    stream.respond(
      { ":status": status, ...headerObject(headers) },
      {
        endStream: bytes.length === 0 && !trailers,
        waitForTrailers: trailers !== undefined,
        ...noDate,
      },
    );
    if (trailers) stream.once("wantTrailers", () => stream.sendTrailers(headerObject(trailers)));
    if (bytes.length > 0) stream.end(bytes);
    else if (trailers) stream.end();
  };
}

async function answerGrpc(stream: ServerHttp2Stream, ended: Promise<void>, call: CallAnswer): Promise<void> {
  const { messages = [], grpcStatus = 0, grpcMessage = "", headers = [], trailers = [] } = call;
  await ended;
  if (stream.destroyed) return;
  const status = { "grpc-status": String(grpcStatus), "grpc-message": grpcMessage };
  const first = { ":status": 200, "content-type": "application/grpc", ...headerObject(headers) };
  if (messages.length === 0 && trailers.length === 0)
    return stream.respond({ ...first, ...status }, { endStream: true, ...noDate });
  stream.respond(first, { waitForTrailers: true, ...noDate });
  stream.once("wantTrailers", () => stream.sendTrailers({ ...status, ...headerObject(trailers) }));
  for (const message of messages) stream.write(grpcFrame(toBuffer(message)));
  stream.end();
}

function grpcFrame(message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
