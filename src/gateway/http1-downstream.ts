import type { IncomingMessage, ServerResponse } from "node:http";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents, DownstreamProtocol } from "./downstream.ts";
import type { Http1Client } from "./http1-client.ts";
import type { GatewayReply } from "./local-replies.ts";
import { statusText } from "./status-text.ts";

const none = new Uint8Array(0);
const smallBytes = 4096;
/** How long a client may take to read the last of a response that was cut. */
const flushMs = 1000;
// Behind `toString("latin1")`: it works on any Uint8Array.
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** The client's side of a stream over HTTP/1: a request that Node has read and the response to it. */
export class Http1Downstream implements Downstream {
  readonly protocol: DownstreamProtocol;
  readonly connection: DownstreamConnection;
  readonly isUpgrade = false;
  private readonly request: IncomingMessage;
  private readonly response: ServerResponse;
  private readonly client: Http1Client;
  private readonly hasTrailers: boolean;
  private waitsForDrain = false;
  /** What comes of the body in this turn leaves with the head. */
  private headWaits = false;
  private events: DownstreamEvents | undefined;
  private requestEnded = false;

  /** `client` is whom it goes to; `hasTrailers` says whether trailers pass. */
  constructor(
    request: IncomingMessage,
    response: ServerResponse,
    connection: DownstreamConnection,
    client: Http1Client,
    hasTrailers: boolean,
  ) {
    this.request = request;
    this.response = response;
    this.connection = connection;
    this.client = client;
    this.hasTrailers = hasTrailers;
    this.protocol = request.httpVersionMinor === 1 ? "HTTP/1.1" : "HTTP/1.0";
  }

  /** Answers a request that no stream takes. */
  answer(stream: DownstreamEvents, reply: GatewayReply): void {
    const { request, response } = this;
    // The rest of it is read and dropped.
    this.requestEnded = true;
    request.resume();
    request.on("error", () => {});
    response.on("close", () => {
      stream.onClosed();
      this.client.end();
    });
    stream.onFault(reply);
  }

  /** Tells the stream what comes from the client. */
  start(events: DownstreamEvents, headers: HeaderMap, endOfStream: boolean): void {
    const { request, response } = this;
    this.events = events;
    this.requestEnded = endOfStream;
    this.client.setStream(events);
    response.on("close", () => {
      events.onClosed();
      this.client.end();
    });
    events.onHeaders(headers, endOfStream);
    if (endOfStream || response.destroyed) return;
    request.on("data", (bytes: Buffer) => events.onData(bytes, false));
    request.on("end", () => {
      this.requestEnded = true;
      if (this.hasTrailers && request.rawTrailers.length > 0)
        events.onTrailers(new HeaderMap(readLines(request.rawTrailers)));
      else events.onData(none, true);
    });
    // A client that goes away within its request: the response closes with it.
    request.on("error", () => {});
  }

  sendInformational(headers: HeaderMap): void {
    const { socket } = this.response;
    if (this.protocol === "HTTP/1.0" || !socket || this.response.headersSent) return;
    const status = headers.get(":status")!;
    let text = `HTTP/1.1 ${status} ${statusText(Number(status))}\r\n`;
    for (const [name, value] of headers.lines) if (!name.startsWith(":")) text += `${name}: ${value}\r\n`;
    socket.write(`${text}\r\n`, "latin1");
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    const { response, request } = this;
    const flat: string[] = [];
    let status = 200;
    let hasLength = false;
    for (const [name, value] of headers.lines) {
      if (name === ":status") status = Number(value);
      else flat.push(name, value);
      if (name === "content-length") hasLength = true;
    }
    const isBodiless = status === 204 || status === 304;
    const hasBody = request.method !== "HEAD" && !isBodiless;
    this.keepOrClose(flat, hasBody && !hasLength && !endOfStream);
    if (!hasLength && !isBodiless) {
      if (endOfStream && hasBody) flat.push("content-length", "0");
      else if (this.protocol === "HTTP/1.1") flat.push("transfer-encoding", "chunked");
    }
    response.sendDate = false;
    response.writeHead(status, statusText(status), flat);
    if (endOfStream) response.end();
    else if (!hasBody) response.flushHeaders();
    else {
      this.headWaits = true;
      process.nextTick(flushHead, this);
    }
  }

  /** Of a response whose body takes its time. */
  flushHead(): void {
    if (!this.headWaits) return;
    this.headWaits = false;
    if (!this.response.destroyed) this.response.flushHeaders();
  }

  /**
   * As Envoy: nothing is said of a connection that stays, but to HTTP/1.0. A response that comes before the end of its
   * request ends the connection.
   */
  private keepOrClose(flat: string[], endsWithConnection: boolean): void {
    const { response, protocol, client } = this;
    const isOld = protocol === "HTTP/1.0";
    const isEarly = !this.requestEnded;
    if (isEarly || client.isEnding || !response.shouldKeepAlive || (isOld && endsWithConnection)) {
      client.setLast();
      response.shouldKeepAlive = false;
      flat.push("connection", "close");
    } else if (isOld) flat.push("connection", "keep-alive");
    // Otherwise Node would say keep-alive.
    else response.removeHeader("connection");
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { response } = this;
    if (endOfStream) {
      this.end(bytes);
      return true;
    }
    if (bytes.length === 0) return true;
    this.headWaits = false;
    if (response.write(bytes)) return true;
    if (!this.waitsForDrain) {
      this.waitsForDrain = true;
      response.once("drain", () => {
        this.waitsForDrain = false;
        this.events?.onDrain();
      });
    }
    return false;
  }

  private end(bytes: Uint8Array): void {
    const { response } = this;
    this.headWaits = false;
    if (bytes.length === 0) response.end();
    // As text it leaves in one write with the head.
    else if (bytes.length <= smallBytes) response.end(latin1Slice.call(bytes, 0, bytes.length), "latin1");
    else response.end(bytes);
  }

  sendTrailers(trailers: HeaderMap): void {
    this.headWaits = false;
    if (this.hasTrailers)
      this.response.addTrailers(trailers.lines.map(([name, value]) => [name, value] as [string, string]));
    this.response.end();
  }

  /** What was written still leaves, if the client reads it, as in Envoy. */
  reset(): void {
    const { response } = this;
    const { socket } = response;
    if (!socket || !response.headersSent) {
      response.destroy();
      this.request.destroy();
      return;
    }
    response.flushHeaders();
    const timer = setTimeout(() => socket.destroy(), flushMs);
    socket.once("close", () => clearTimeout(timer));
    socket.destroySoon();
  }

  setPaused(paused: boolean): void {
    if (paused) this.request.pause();
    else this.request.resume();
  }
}

function flushHead(downstream: Http1Downstream): void {
  downstream.flushHead();
}

const lowerCase = new Map<string, string>();
const maxKnown = 2000;

/** Names and values that follow each other, as lines with lower-case names. */
export function readLines(raw: readonly string[], into: HeaderLine[] = []): HeaderLine[] {
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!;
    let lower = lowerCase.get(name);
    if (lower === undefined) {
      lower = name.toLowerCase();
      if (lowerCase.size < maxKnown && name.length <= 64) lowerCase.set(name, lower);
    }
    into.push([lower, raw[i + 1]!]);
  }
  return into;
}
