import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { HeaderMap, joinRepeated } from "../proxy-wasm/header-map.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { HttpStream } from "./http-stream.ts";
import { Http1Client } from "./http1-client.ts";
import { type AnsweredRequest, Http1Downstream } from "./http1-downstream.ts";
import { type GatewayReply, gatewayReply, invalidUrl, routeNotFound } from "./local-replies.ts";
import { readRequest } from "./read-request.ts";
import { acceptHeaders, withTrustedAddress } from "./request-headers.ts";
import type { ParsedRequest } from "./request-parser.ts";
import { type StreamPlan, type StreamWorld, withoutFilters } from "./stream-plan.ts";

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
  /** Ends connections that stay without a request for a moment. */
  closeIdle(): void;
}

/** For a head to arrive, where the configuration has no bound. */
const maxHeadMs = 60_000;
/** A request may be on its way to a connection that is idle here. */
const idleGraceMs = 250;

export function serveHttp1(options: Http1Options): Http1Server {
  const clients = new Set<Http1Client>();
  const shared = {
    http: () => options.plan().http,
    isDraining: options.isDraining,
    onRequest: (request: ParsedRequest, client: Http1Client) => serve(request, client, options),
    onFault: (reply: GatewayReply, client: Http1Client) => refuse(noRequest, client, reply, options),
    headTimeout: () => headTimeout(options.plan().http),
  };
  return {
    accept(socket) {
      const client = new Http1Client({ ...shared, socket, connection: options.connectionOf(socket) });
      clients.add(client);
      socket.once("close", () => clients.delete(client));
    },
    closeIdle() {
      setTimeout(() => {
        for (const client of clients) client.closeIdle();
      }, idleGraceMs).unref();
    },
  };
}

const noRequest: AnsweredRequest = {
  method: "GET",
  protocol: "HTTP/1.1",
  keepsAlive: false,
  isUpgrade: false,
  hasBody: false,
};

function serve(request: ParsedRequest, client: Http1Client, options: Http1Options): void {
  const plan = options.plan();
  const { http } = plan;
  const direct = client.connection;
  const read = request.method === "CONNECT" ? refusedTunnel(request) : readRequest(request, http, direct);
  if ("status" in read) {
    const isTunnel = request.isUpgrade || request.method === "CONNECT";
    if (!staysConnected(read) || request.hasBody || isTunnel) client.setLast();
    refuse({ ...request, isUpgrade: false }, client, read, options);
    return;
  }
  const connection = withTrustedAddress(direct, read.lines, http);
  const headers = acceptHeaders({ lines: read.lines, isUpgrade: request.isUpgrade, connection }, http);
  const downstream = new Http1Downstream(request, client, connection, http.enableTrailers);
  if (request.expect !== undefined && !http.proxy100Continue) {
    if (request.protocol === "HTTP/1.1" && asksToContinue.test(request.expect)) client.write(continueText);
    if (request.expect === "100-continue") headers.remove("expect");
  }
  downstream.start(new HttpStream(options.world, plan, downstream), headers);
}

const asksToContinue = /(?:^|\W)100-continue(?:$|\W)/;
const continueText = "HTTP/1.1 100 Continue\r\n\r\n";

function refusedTunnel({ target }: ParsedRequest): GatewayReply {
  return target.startsWith("/") ? invalidUrl : routeNotFound;
}

/** As Envoy: who asks for another path, or is to ask at one, may ask again. */
function staysConnected({ status }: GatewayReply): boolean {
  return status === 404 || status < 400;
}

/** Answers what no filter gets to see. */
function refuse(
  request: AnsweredRequest & Partial<Pick<ParsedRequest, "lines">>,
  client: Http1Client,
  reply: GatewayReply,
  options: Http1Options,
): void {
  const downstream = new Http1Downstream(request, client, client.connection, false);
  const stream = new HttpStream(options.world, withoutFilters(options.plan()), downstream);
  const { method, lines } = request;
  downstream.answer(
    lines
      ? () => stream.refuse(reply, new HeaderMap(joinRepeated([[":method", method], ...lines])))
      : () => stream.onFault(reply),
  );
}

/** Of a head that does not arrive whole: whichever of Envoy's timeouts comes first. */
function headTimeout(http: HttpConnection): { readonly ms: number; readonly reply: GatewayReply } {
  const { requestHeadersTimeoutMs, requestTimeoutMs, streamIdleTimeoutMs } = http;
  const bound = (ms: number) => ms || Number.POSITIVE_INFINITY;
  const [headers, request, idle] = [
    bound(requestHeadersTimeoutMs),
    bound(requestTimeoutMs),
    bound(streamIdleTimeoutMs),
  ];
  // Unlike Envoy: a client that does not finish its headers is cut off, whatever the configuration leaves out.
  const ms = Math.min(headers, request, idle, maxHeadMs);
  if (idle < headers && idle < request)
    return { ms, reply: gatewayReply(408, "stream timeout", "stream_idle_timeout", "SI") };
  if (request < headers)
    return { ms, reply: gatewayReply(408, "request timeout", "request_overall_timeout") };
  return { ms, reply: gatewayReply(408, "request header timeout", "request_header_timeout") };
}
