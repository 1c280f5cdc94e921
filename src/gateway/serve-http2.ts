import {
  constants,
  createServer,
  type Http2Session,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { HeaderMap, joinRepeated } from "../proxy-wasm/header-map.ts";
import { ConnectionLife } from "./connection-life.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { HttpStream } from "./http-stream.ts";
import { Http2Downstream } from "./http2-downstream.ts";
import { readHttp2Lines, readHttp2Request } from "./read-http2-request.ts";
import { acceptHeaders, withTrustedAddress } from "./request-headers.ts";
import type { Http1Options } from "./serve-http1.ts";
import { createSilenceCheck, type WatchedSession } from "./silent-sessions.ts";
import { withoutFilters } from "./stream-plan.ts";

/** HTTP/2 for sockets that somebody else has accepted. */
export interface Http2Server {
  accept(socket: Socket): void;
  /** Streams that have begun end, and those that are on their way; the connections end with them. */
  closeIdle(): void;
}

/** Frames that are none, in a session: beyond it Node ends the session. */
const maxSessionInvalidFrames = 100;
const maxConcurrentStreamsBound = 2 ** 31 - 1;
/** In MB: what waits to be sent, and what is read of headers. Beyond it streams are refused. */
const maxSessionMemory = 100;
/** Announces an end, and refuses nothing yet. */
const anyStreamId = 2 ** 31 - 1;
// Unlike Envoy: a connection on which nothing moves is pinged; see createSilenceCheck.
const checkEveryMs = 30_000;
/** A request may be on its way to a connection that is idle here. */
const idleGraceMs = 250;

export function serveHttp2(options: Http1Options): Http2Server {
  const { http } = options.plan();
  const lives = new Map<
    Http2Session,
    WatchedSession & { readonly socket: Socket; readonly life: ConnectionLife }
  >();
  const endSilent = createSilenceCheck();
  let checking: NodeJS.Timeout | undefined;
  const server = createServer({
    maxSessionInvalidFrames,
    maxSessionMemory,
    // As many as Envoy, which counts pseudo-headers as well.
    maxHeaderListPairs: http.maxHeadersCount,
    settings: {
      maxConcurrentStreams: Math.min(http.maxConcurrentStreams, maxConcurrentStreamsBound),
      maxHeaderListSize: http.maxRequestHeadersKb * 1024,
      initialWindowSize: http.streamWindowBytes,
      enableConnectProtocol: http.allowConnect,
      enablePush: false,
    },
  });
  server.on("sessionError", () => {});
  // The types know nothing of the fourth, in which lines are as they came.
  const onStream = (stream: ServerHttp2Stream, _headers: unknown, _flags: number, raw: readonly string[]) => {
    stream.on("error", () => {});
    const entry = stream.session && lives.get(stream.session);
    if (!entry) return;
    entry.life.beginStream();
    stream.once("close", () => entry.life.endStream());
    serve(stream, raw, entry.socket, options);
    if (options.isDraining()) entry.life.drain();
  };
  server.on("stream", onStream as (stream: ServerHttp2Stream) => void);
  return {
    accept(socket) {
      server.once("session", (begun) => {
        const session = begun as ServerHttp2Session;
        session.setLocalWindowSize(http.connectionWindowBytes);
        const life = createLife(session, options.plan().http, options.isDraining);
        lives.set(session, { session, socket, life, isIdle: () => life.isIdle });
        checking ??= setInterval(() => endSilent(lives.values()), checkEveryMs).unref();
        session.once("close", () => {
          life.dispose();
          lives.delete(session);
          if (lives.size > 0) return;
          clearInterval(checking);
          checking = undefined;
        });
      });
      server.emit("connection", socket);
    },
    closeIdle() {
      for (const { life } of lives.values()) life.drain();
      setTimeout(() => {
        for (const session of lives.keys()) session.close();
      }, idleGraceMs).unref();
    },
  };
}

function createLife(
  session: ServerHttp2Session,
  http: HttpConnection,
  isDraining: () => boolean,
): ConnectionLife {
  return new ConnectionLife(http, isDraining, {
    isMultiplexed: true,
    announce() {
      if (!session.destroyed) session.goaway(constants.NGHTTP2_NO_ERROR, anyStreamId);
    },
    close() {
      if (!session.destroyed) session.close();
    },
  });
}

const resets = {
  malformed: constants.NGHTTP2_PROTOCOL_ERROR,
  "too large": constants.NGHTTP2_INTERNAL_ERROR,
} as const;

function serve(
  stream: ServerHttp2Stream,
  raw: readonly string[],
  socket: Socket,
  options: Http1Options,
): void {
  const plan = options.plan();
  const direct = options.connectionOf(socket);
  const read = readHttp2Request(raw, plan.http, direct);
  if (typeof read === "string") {
    stream.close(resets[read]);
    return;
  }
  if ("status" in read) {
    const refusing = new Http2Downstream(stream, direct, false);
    const refused = new HttpStream(options.world, withoutFilters(plan), refusing);
    refused.refuse(read, new HeaderMap(joinRepeated(readHttp2Lines(raw))));
    return;
  }
  const connection = withTrustedAddress(direct, read.lines, plan.http);
  if (read.expectsContinue) stream.additionalHeaders({ ":status": 100 });
  const downstream = new Http2Downstream(stream, connection, read.isUpgrade);
  const { lines, isUpgrade } = read;
  const headers = acceptHeaders({ lines, isUpgrade, connection }, plan.http);
  downstream.start(new HttpStream(options.world, plan, downstream), headers, stream.endAfterHeaders);
}
