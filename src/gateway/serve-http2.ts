import {
  constants,
  createServer,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Duplex } from "node:stream";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents } from "./downstream.ts";
import { HttpStream } from "./http-stream.ts";
import { normalizePath } from "./normalize-path.ts";
import { acceptHeaders } from "./request-headers.ts";
import type { Http1Options } from "./serve-http1.ts";

/** HTTP/2 for sockets that somebody else has accepted. */
export interface Http2Server {
  accept(socket: Duplex): void;
  /** Streams that have begun end; no new ones on these connections. */
  closeIdle(): void;
}

const none = new Uint8Array(0);
/** Streams that clients reset, and frames that ask for an answer, in a session: beyond it Node ends the session. */
const maxSessionInvalidFrames = 100;
const maxConcurrentStreamsBound = 2 ** 31 - 1;

export function serveHttp2(options: Http1Options): Http2Server {
  const { http } = options.plan();
  const sessions = new Set<ServerHttp2Session>();
  const server = createServer({
    maxSessionInvalidFrames,
    maxHeaderListPairs: http.maxHeadersCount + 4,
    settings: {
      maxConcurrentStreams: Math.min(http.maxConcurrentStreams, maxConcurrentStreamsBound),
      maxHeaderListSize: http.maxRequestHeadersKb * 1024,
      enablePush: false,
    },
  });
  server.on("session", (session) => {
    sessions.add(session);
    session.on("close", () => sessions.delete(session));
  });
  server.on("sessionError", () => {});
  // The types know nothing of the fourth, in which lines are as they came.
  const onStream = (stream: ServerHttp2Stream, _headers: unknown, _flags: number, raw: readonly string[]) => {
    const socket = stream.session && sockets.get(stream.session);
    if (socket) serve(stream, raw, options.connectionOf(socket), options);
  };
  server.on("stream", onStream as (stream: ServerHttp2Stream) => void);
  const sockets = new WeakMap<object, Duplex>();
  return {
    accept(socket) {
      server.once("session", (session) => sockets.set(session, socket));
      server.emit("connection", socket);
    },
    closeIdle() {
      for (const session of sessions) session.close();
    },
  };
}

function serve(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  connection: DownstreamConnection,
  options: Http1Options,
): void {
  const plan = options.plan();
  const lines = readLines(raw);
  const path = lines.find(([name]) => name === ":path")?.[1];
  const normal = path !== undefined && plan.http.normalizePath ? normalizePath(path) : path;
  if (normal === undefined || normal.includes("#") || lines.length > plan.http.maxHeadersCount + 4) {
    stream.respond(
      { ":status": normal === undefined || normal.includes("#") ? 400 : 431 },
      { endStream: true },
    );
    return;
  }
  const accepted = lines.map((line): HeaderLine => (line[0] === ":path" ? [":path", normal] : line));
  const downstream = new Http2Downstream(stream, connection);
  const headers = acceptHeaders({ lines: accepted, isUpgrade: false, connection }, plan.http);
  downstream.start(new HttpStream(options.world, plan, downstream), headers, stream.endAfterHeaders);
}

/** Pseudo-headers first; `host` is `:authority` where there is none; crumbs of cookies together, as in Envoy. */
function readLines(raw: readonly string[]): HeaderLine[] {
  const lines: HeaderLine[] = [];
  let authority: string | undefined;
  let host: string | undefined;
  const cookies: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name, value] = [raw[i]!, raw[i + 1]!];
    if (name === ":authority") authority = value;
    if (name === "host") host = value;
    else if (name === "cookie") cookies.push(value);
    else lines.push([name, value]);
  }
  if (authority === undefined && host !== undefined) lines.unshift([":authority", host]);
  if (cookies.length > 0) lines.push(["cookie", cookies.join("; ")]);
  return lines;
}

/** The client's side of a stream over HTTP/2. */
class Http2Downstream implements Downstream {
  readonly protocol = "HTTP/2";
  readonly isUpgrade = false;
  readonly connection: DownstreamConnection;
  private readonly stream: ServerHttp2Stream;
  private trailers: HeaderMap | undefined;

  constructor(stream: ServerHttp2Stream, connection: DownstreamConnection) {
    this.stream = stream;
    this.connection = connection;
  }

  start(events: DownstreamEvents, headers: HeaderMap, endOfStream: boolean): void {
    const { stream } = this;
    let trailers: HeaderMap | undefined;
    stream.on("close", () => events.onClosed());
    stream.on("error", () => {});
    stream.on("drain", () => events.onDrain());
    events.onHeaders(headers, endOfStream);
    if (endOfStream || stream.destroyed) return;
    stream.on("trailers", (received, _flags, raw?: string[]) => {
      trailers = new HeaderMap(raw ? readLines(raw) : linesOf(received));
    });
    stream.on("data", (bytes: Buffer) => events.onData(bytes, false));
    stream.on("end", () => {
      if (trailers) events.onTrailers(trailers);
      else events.onData(none, true);
    });
  }

  sendInformational(headers: HeaderMap): void {
    if (!this.stream.headersSent && !this.stream.destroyed) this.stream.additionalHeaders(recordOf(headers));
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    const { stream } = this;
    if (stream.destroyed) return;
    stream.respond(recordOf(headers), { endStream: endOfStream, waitForTrailers: !endOfStream });
    if (!endOfStream)
      stream.once("wantTrailers", () => {
        if (this.trailers) stream.sendTrailers(recordOf(this.trailers));
        else stream.close();
      });
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { stream } = this;
    if (stream.destroyed) return true;
    if (!endOfStream) return bytes.length === 0 || stream.write(bytes);
    if (bytes.length > 0) stream.end(bytes);
    else stream.end();
    return true;
  }

  sendTrailers(trailers: HeaderMap): void {
    this.trailers = trailers;
    this.stream.end();
  }

  reset(): void {
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  setPaused(paused: boolean): void {
    if (paused) this.stream.pause();
    else this.stream.resume();
  }
}

/** Names once, with all their values; what HTTP/2 has no headers for is left out. */
function recordOf(headers: HeaderMap): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [name, value] of headers.lines) {
    if (name === "connection" || name === "transfer-encoding" || name === "upgrade" || name === "keep-alive")
      continue;
    const known = record[name];
    record[name] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value];
  }
  return record;
}

function linesOf(headers: IncomingHttpHeaders): HeaderLine[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): HeaderLine => [name, each]),
  );
}
