import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import { buildReply } from "../proxy-wasm/local-reply.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { HttpStream, type StreamPlan, type StreamWorld } from "./http-stream.ts";
import { Http1Downstream, readLines } from "./http1-downstream.ts";
import { type GatewayReply, gatewayReply } from "./local-replies.ts";
import { readRequest } from "./read-request.ts";
import { acceptHeaders } from "./request-headers.ts";
import { responseLines } from "./response-headers.ts";
import { serveUpgrade } from "./serve-upgrade.ts";
import { statusText } from "./status-text.ts";

export interface Http1Options {
  readonly world: StreamWorld;
  /** What the next stream runs by. */
  plan(): StreamPlan;
  connectionOf(socket: Duplex): DownstreamConnection;
  /** The connection is to end with the response that is sent now. */
  isDraining(): boolean;
}

/** HTTP/1 for sockets that somebody else has accepted. */
export interface Http1Server {
  accept(socket: Duplex): void;
  /** Takes over limits that have changed. */
  update(http: HttpConnection): void;
  /** Ends connections without a request. */
  closeIdle(): void;
  closeAll(): void;
}

/** Node's own bound for a head to arrive, where the configuration has none. */
const headersTimeoutMs = 60_000;
const maxTimeoutMs = 2 ** 31 - 1;

export function serveHttp1(options: Http1Options): Http1Server {
  const { http } = options.plan();
  const server = createServer({
    insecureHTTPParser: false,
    joinDuplicateHeaders: false,
    // Checked here, to answer as Envoy does.
    requireHostHeader: false,
    maxHeaderSize: http.maxRequestHeadersKb * 1024,
    keepAliveTimeout: 0,
    noDelay: true,
  });
  // Node cuts lines off beyond its count, and says nothing: they are counted here.
  server.maxHeadersCount = 0;
  setTimeouts(server, http);
  server.on("request", (request, response) => serve(request, response, options));
  server.on("checkContinue", (request, response) => {
    if (!options.plan().http.proxy100Continue) response.writeContinue();
    serve(request, response, options);
  });
  server.on("checkExpectation", (request, response) => serve(request, response, options));
  server.on("upgrade", (request, socket, head) => serveUpgrade(request, socket, head, options));
  server.on("connect", (_request, socket) => refuse(socket, 404, "", options));
  server.on("clientError", (error: NodeJS.ErrnoException, socket) => answerFault(error, socket, options));
  // Sockets are accepted elsewhere; this begins what looks after slow ones.
  server.emit("listening");
  return {
    accept: (socket) => void server.emit("connection", socket),
    update: (next) => setTimeouts(server, next),
    closeIdle: () => server.closeIdleConnections(),
    closeAll: () => server.closeAllConnections(),
  };
}

function setTimeouts(server: Server, http: HttpConnection): void {
  const { requestHeadersTimeoutMs, requestTimeoutMs, idleTimeoutMs } = http;
  server.requestTimeout = requestTimeoutMs;
  // Unlike Envoy: a client that does not finish its headers is cut off, whatever the configuration leaves out.
  server.headersTimeout = requestHeadersTimeoutMs || headersTimeoutMs;
  server.keepAliveTimeout = Math.min(idleTimeoutMs, maxTimeoutMs);
  server.timeout = 0;
}

function serve(request: IncomingMessage, response: ServerResponse, options: Http1Options): void {
  const plan = options.plan();
  const connection = options.connectionOf(request.socket);
  const head = readRequest(request, plan.http);
  if ("status" in head) {
    sendReply(request, response, head, plan.http);
    return;
  }
  const downstream = new Http1Downstream(
    request,
    response,
    connection,
    options.isDraining,
    plan.http.enableTrailers,
  );
  const headers = acceptHeaders({ lines: head.lines, isUpgrade: false, connection }, plan.http);
  if (!plan.http.proxy100Continue && request.headers.expect !== undefined) headers.remove("expect");
  downstream.start(new HttpStream(options.world, plan, downstream), headers, !head.hasBody);
}

/** A reply that no filter sees: the request was none, or is to be sent again. */
function sendReply(
  request: IncomingMessage,
  response: ServerResponse,
  reply: GatewayReply,
  http: HttpConnection,
): void {
  const method = request.method ?? "";
  const asked = readLines(request.rawHeaders, [[":method", method]]);
  const { headers, body } = buildReply(reply, new HeaderMap(asked));
  const { "transfer-encoding": coding, "content-length": length = "0" } = request.headers;
  const isOver = reply.status === 307 && coding === undefined && length === "0";
  const status = Number(headers.get(":status"));
  response.sendDate = false;
  response.shouldKeepAlive = isOver && response.shouldKeepAlive;
  // Otherwise Node would say keep-alive.
  if (response.shouldKeepAlive) response.removeHeader("connection");
  response.writeHead(
    status,
    statusText(status),
    replyLines(headers, http, method, !response.shouldKeepAlive).flat(),
  );
  response.end(body);
}

/** As Envoy orders them: a length that nobody gave comes last. */
function replyLines(headers: HeaderMap, http: HttpConnection, method: string, closes: boolean): HeaderLine[] {
  const lines = responseLines(headers, http, false);
  if (closes) lines.push(["connection", "close"]);
  if (headers.get("content-length") === undefined)
    lines.push(method === "HEAD" ? ["transfer-encoding", "chunked"] : ["content-length", "0"]);
  return lines;
}

/** What Node's parser finds wrong, in Envoy's statuses. */
const faultStatus: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
};
const faultText: Readonly<Record<number, string>> = {
  400: "Bad Request",
  408: "Request Timeout",
  431: "Request Header Fields Too Large",
};

function answerFault(error: NodeJS.ErrnoException, socket: Duplex, options: Http1Options): void {
  const status = faultStatus[error.code ?? ""] ?? 400;
  if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
  else refuse(socket, status, faultText[status]!, options);
}

/** Answers on a socket that Node's parser has given up, and closes it. */
export function refuse(socket: Duplex, status: number, body: string, options: Http1Options): void {
  const reply = gatewayReply(status, body, "http1.codec_error");
  const { headers, body: bytes } = buildReply(reply, undefined);
  let text = `HTTP/1.1 ${status} ${statusText(status)}\r\n`;
  for (const [name, value] of replyLines(headers, options.plan().http, "", true))
    text += `${name}: ${value}\r\n`;
  socket.write(`${text}\r\n`, "latin1");
  socket.end(bytes);
}
