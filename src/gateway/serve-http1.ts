import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { HttpStream, type StreamPlan, type StreamWorld, withoutFilters } from "./http-stream.ts";
import { Http1Client } from "./http1-client.ts";
import { Http1Downstream, readLines } from "./http1-downstream.ts";
import {
  badRequest,
  type GatewayReply,
  gatewayReply,
  headersTooLarge,
  invalidCharacters,
  invalidUrl,
  lengthAndChunks,
  notImplemented,
  routeNotFound,
  upgradeRequired,
} from "./local-replies.ts";
import { readRequest } from "./read-request.ts";
import { acceptHeaders, withTrustedAddress } from "./request-headers.ts";
import { serveUpgrade } from "./serve-upgrade.ts";
import { SocketDownstream } from "./socket-downstream.ts";

export interface Http1Options {
  readonly world: StreamWorld;
  /** What the next stream runs by. */
  plan(): StreamPlan;
  connectionOf(socket: Duplex): DownstreamConnection;
  /** Connections are to end with the responses that are sent now. */
  isDraining(): boolean;
}

/** HTTP/1 for sockets that somebody else has accepted. */
export interface Http1Server {
  accept(socket: Socket): void;
  /** Takes over limits that have changed. */
  update(http: HttpConnection): void;
  /** Ends connections that stay without a request for a moment. */
  closeIdle(): void;
  /** When it has no connections any more, and gets none. */
  close(): void;
}

/** Node's own bound for a head to arrive, where the configuration has none. */
const headersTimeoutMs = 60_000;
/** How often Node looks for heads that take too long. */
const checkEveryMs = 250;
/** A request may be on its way to a connection that is idle here. */
const idleGraceMs = 250;

export function serveHttp1(options: Http1Options): Http1Server {
  const { http } = options.plan();
  const clients = new Map<Duplex, Http1Client>();
  const server = createServer({
    insecureHTTPParser: false,
    joinDuplicateHeaders: false,
    // Checked here, to answer as Envoy does.
    requireHostHeader: false,
    maxHeaderSize: http.maxRequestHeadersKb * 1024,
    // Looked after by ConnectionLife.
    keepAliveTimeout: 0,
    requestTimeout: 0,
    connectionsCheckingInterval: checkEveryMs,
    noDelay: true,
  });
  // Node cuts lines off beyond its count, and says nothing: they are counted here.
  server.maxHeadersCount = 0;
  setHeadersTimeout(server, http);
  const begin = (request: IncomingMessage, response: ServerResponse) => {
    const client = clients.get(request.socket)!;
    client.begin(() => serve(request, response, client, options));
  };
  server.on("request", begin);
  server.on("checkContinue", (request, response) => {
    if (!options.plan().http.proxy100Continue) response.writeContinue();
    begin(request, response);
  });
  server.on("checkExpectation", begin);
  server.on("upgrade", (request, socket, head) => {
    const client = clients.get(socket)!;
    client.begin(() =>
      serveUpgrade(request, socket as Socket, head, options, () => accept(socket as Socket)),
    );
  });
  server.on("connect", (request, socket) => {
    const isPath = request.url?.startsWith("/");
    refuse(socket, isPath ? invalidUrl : routeNotFound, options);
  });
  server.on("clientError", (error: Fault, socket) => {
    // What follows the last answer is nobody's.
    const client = clients.get(socket);
    if (client && !client.isLast) answerFault(error, socket, client, options);
  });
  // Sockets are accepted elsewhere; this begins what looks after slow ones.
  server.emit("listening");
  return {
    accept,
    update: (next) => setHeadersTimeout(server, next),
    closeIdle() {
      setTimeout(() => {
        for (const [socket, { isIdle }] of clients) if (isIdle) socket.destroy();
      }, idleGraceMs).unref();
    },
    // Ends what looks after slow clients: it never listened.
    close: () => void server.close(),
  };

  function accept(socket: Socket): void {
    clients.set(socket, new Http1Client(socket, options.plan().http, options.isDraining));
    socket.once("close", () => clients.delete(socket));
    server.emit("connection", socket);
  }
}

/** Of a head that does not arrive whole: whichever of Envoy's timeouts comes first. */
function setHeadersTimeout(server: Server, http: HttpConnection): void {
  const { requestHeadersTimeoutMs, requestTimeoutMs, streamIdleTimeoutMs } = http;
  const timeouts = [requestHeadersTimeoutMs, requestTimeoutMs, streamIdleTimeoutMs].filter((ms) => ms > 0);
  // Unlike Envoy: a client that does not finish its headers is cut off, whatever the configuration leaves out.
  server.headersTimeout = Math.min(...timeouts, headersTimeoutMs);
}

function serve(
  request: IncomingMessage,
  response: ServerResponse,
  client: Http1Client,
  options: Http1Options,
): void {
  const plan = options.plan();
  const { http } = plan;
  const direct = options.connectionOf(request.socket);
  const head = readRequest(request, http, direct);
  const connection = "status" in head ? direct : withTrustedAddress(direct, head.lines, http);
  const downstream = new Http1Downstream(request, response, connection, client, http.enableTrailers);
  if ("status" in head) {
    if (!staysConnected(head) || hasBody(request)) client.setLast();
    const stream = new HttpStream(options.world, withoutFilters(plan), downstream);
    // gRPC is answered as gRPC.
    stream.chain.request.headers = new HeaderMap(readLines(request.rawHeaders));
    downstream.answer(stream, head);
    return;
  }
  const headers = acceptHeaders({ lines: head.lines, isUpgrade: false, connection }, http);
  if (!http.proxy100Continue && request.headers.expect?.toLowerCase() === "100-continue")
    headers.remove("expect");
  downstream.start(new HttpStream(options.world, plan, downstream), headers, !head.hasBody);
}

function hasBody({ headers }: IncomingMessage): boolean {
  return headers["transfer-encoding"] !== undefined || (headers["content-length"] ?? "0") !== "0";
}

/** As Envoy: who asks for another path, or is to ask at one, may ask again. */
function staysConnected({ status }: GatewayReply): boolean {
  return status === 404 || status < 400;
}

interface Fault extends NodeJS.ErrnoException {
  readonly reason?: string;
}

/** What Node's parser finds wrong, as Envoy answers it. */
const replies: Readonly<Record<string, GatewayReply>> = {
  HPE_HEADER_OVERFLOW: headersTooLarge,
  "Content-Length can't be present with Transfer-Encoding": lengthAndChunks,
  "Transfer-Encoding can't be present with Content-Length": lengthAndChunks,
  "Invalid header value char": invalidCharacters,
  "Invalid characters in url": invalidCharacters,
  "Invalid `Transfer-Encoding` header value": notImplemented,
  "Request has invalid `Transfer-Encoding`": notImplemented,
  // Since Node 22; before it is a coding like others.
  "Empty Transfer-Encoding": notImplemented,
  "Invalid HTTP version": upgradeRequired,
};

function answerFault(error: Fault, socket: Duplex, client: Http1Client, options: Http1Options): void {
  if (error.code === "ECONNRESET" || !socket.writable) socket.destroy();
  else {
    const reply = replyTo(error, options.plan().http);
    if (!client.fail(reply)) refuse(socket, reply, options);
    client.setLast();
  }
}

function replyTo({ code = "", reason = "" }: Fault, http: HttpConnection): GatewayReply {
  if (code === "ERR_HTTP_REQUEST_TIMEOUT") return headTimeout(http);
  return replies[reason] ?? replies[code] ?? badRequest;
}

function headTimeout(http: HttpConnection): GatewayReply {
  const ms = (timeout: number) => timeout || Number.POSITIVE_INFINITY;
  const [headers, request, idle] = [
    ms(http.requestHeadersTimeoutMs),
    ms(http.requestTimeoutMs),
    ms(http.streamIdleTimeoutMs),
  ];
  if (idle < headers && idle < request)
    return gatewayReply(408, "stream timeout", "stream_idle_timeout", "SI");
  if (request < headers) return gatewayReply(408, "request timeout", "request_overall_timeout");
  return gatewayReply(408, "request header timeout", "request_header_timeout");
}

/** Answers on a socket that Node's parser has given up, and closes it. */
export function refuse(socket: Duplex, reply: GatewayReply, options: Http1Options): void {
  const plan = options.plan();
  const downstream = new SocketDownstream(socket, options.connectionOf(socket), plan.http);
  new HttpStream(options.world, withoutFilters(plan), downstream).reply(reply);
}
