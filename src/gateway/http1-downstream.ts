import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents, DownstreamProtocol } from "./downstream.ts";
import type { Http1Client } from "./http1-client.ts";
import type { GatewayReply } from "./local-replies.ts";
import type { ParsedRequest } from "./request-parser.ts";
import { statusText } from "./status-text.ts";

export type AnsweredRequest = Pick<
  ParsedRequest,
  "method" | "protocol" | "keepsAlive" | "isUpgrade" | "hasBody"
>;

const none = new Uint8Array(0);
const switchingProtocols = "101";
/** Bytes that leave as text, in one write with what goes before. */
const smallBytes = 4096;
/** How much text waits for the end of a turn. */
const maxText = 4 * smallBytes;
/** How long a client may take to read the last of a response that was cut. */
const flushMs = 1000;
const valueText = /^[\t\x20-\x7e\x80-\xff]*$/;
// Behind `toString("latin1")`: it works on any Uint8Array.
const { latin1Slice } = Buffer.prototype as unknown as {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
};

/** How a client knows where a response's body ends. */
type Framing = "none" | "length" | "chunked" | "close" | "tunnel";

/** The client's side of a stream over HTTP/1: a request and the response to it. */
export class Http1Downstream implements Downstream {
  readonly protocol: DownstreamProtocol;
  readonly connection: DownstreamConnection;
  readonly isUpgrade: boolean;
  private readonly request: AnsweredRequest;
  private readonly client: Http1Client;
  private readonly hasTrailers: boolean;
  private events: DownstreamEvents | undefined;
  private requestEnded: boolean;
  private headersSent = false;
  private framing: Framing = "none";
  /** Bytes that the response's length promises. */
  private left = 0;
  /** What leaves with what follows in this turn. */
  private text = "";
  private isTextDue = false;

  /** `hasTrailers` says whether trailers pass. */
  constructor(
    request: AnsweredRequest,
    client: Http1Client,
    connection: DownstreamConnection,
    hasTrailers: boolean,
  ) {
    this.request = request;
    this.client = client;
    this.connection = connection;
    this.hasTrailers = hasTrailers;
    this.protocol = request.protocol;
    this.isUpgrade = request.isUpgrade;
    this.requestEnded = !request.hasBody && !request.isUpgrade;
    client.begin(this);
  }

  /** Answers a request that no stream takes. The rest of it is read and dropped. */
  answer(send: () => void): void {
    this.requestEnded = true;
    send();
  }

  /** Tells the stream what comes from the client. */
  start(events: DownstreamEvents, headers: HeaderMap): void {
    this.events = events;
    events.onHeaders(headers, this.requestEnded);
  }

  // What the connection calls:

  /** The protocol has been switched. */
  get isTunnel(): boolean {
    return this.framing === "tunnel";
  }

  dataCame(bytes: Uint8Array, endOfStream: boolean): void {
    if (endOfStream) this.endRequest();
    this.events?.onData(bytes, endOfStream);
  }

  trailersCame(trailers: HeaderMap): void {
    this.endRequest();
    if (this.hasTrailers) this.events?.onTrailers(trailers);
    else this.events?.onData(none, true);
  }

  fail(reply: GatewayReply): void {
    this.events?.onFault(reply);
  }

  drained(): void {
    this.events?.onDrain();
  }

  closed(): void {
    this.events?.onClosed();
  }

  // What the stream calls:

  sendInformational(headers: HeaderMap): void {
    if (this.protocol === "HTTP/1.0" || this.headersSent) return;
    this.client.write(`${headText(headers)}\r\n`);
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.headersSent = true;
    this.text = `${headText(headers)}${this.frame(headers, endOfStream)}\r\n`;
    if (endOfStream) this.end();
    else this.flushSoon();
  }

  /** Chooses how the body is framed, and gives the lines that say it. */
  private frame(headers: HeaderMap, endOfStream: boolean): string {
    const { method, protocol } = this.request;
    const status = headers.get(":status")!;
    if (this.isUpgrade && status === switchingProtocols) {
      this.framing = "tunnel";
      this.client.openTunnel();
      return "";
    }
    const isChunkable = status !== "204" && status !== "304";
    const hasBody = isChunkable && method !== "HEAD";
    const length = headers.get("content-length");
    if (length !== undefined || !isChunkable) {
      if (hasBody && !endOfStream) this.expectLength(Number(length));
      return this.connectionLine(false);
    }
    if (hasBody && endOfStream) return `${this.connectionLine(false)}content-length: 0\r\n`;
    const isOld = protocol === "HTTP/1.0";
    if (hasBody) this.framing = isOld ? "close" : "chunked";
    // As Envoy: a response to HEAD says how its body would come.
    return `${this.connectionLine(hasBody && isOld)}${isOld ? "" : "transfer-encoding: chunked\r\n"}`;
  }

  private expectLength(length: number): void {
    this.framing = "length";
    this.left = length;
  }

  /**
   * As Envoy: nothing is said of a connection that stays, but to HTTP/1.0. A response that comes before the end of its
   * request ends the connection.
   */
  private connectionLine(endsWithConnection: boolean): string {
    const { client, request } = this;
    if (!this.requestEnded || client.isEnding || !request.keepsAlive || endsWithConnection) {
      client.setLast();
      return "connection: close\r\n";
    }
    return request.protocol === "HTTP/1.0" ? "connection: keep-alive\r\n" : "";
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    if (bytes.length > 0 && this.framing !== "none") this.put(bytes);
    if (endOfStream) {
      if (this.framing === "chunked") this.text += "0\r\n\r\n";
      this.end();
      return true;
    }
    return this.client.hasRoom;
  }

  private put(bytes: Uint8Array): void {
    const { length } = bytes;
    this.left -= length;
    const isChunked = this.framing === "chunked";
    const before = isChunked ? `${length.toString(16)}\r\n` : "";
    const behind = isChunked ? "\r\n" : "";
    if (length <= smallBytes) {
      this.text += before + latin1Slice.call(bytes, 0, length) + behind;
      if (this.text.length > maxText) this.flush();
      else this.flushSoon();
    } else {
      this.client.writeBytes(this.text + before, bytes, behind);
      this.text = "";
    }
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.framing === "chunked")
      this.text += this.hasTrailers ? `0\r\n${headerText(trailers)}\r\n` : "0\r\n\r\n";
    this.end();
  }

  reset(): void {
    this.flush();
    this.client.cut(this.headersSent ? flushMs : 0);
  }

  setPaused(paused: boolean): void {
    if (!this.requestEnded) this.client.setPaused(paused);
  }

  /** Writes what waits. */
  flush(): void {
    const { text } = this;
    this.text = "";
    this.isTextDue = false;
    if (text !== "") this.client.write(text);
  }

  private flushSoon(): void {
    if (this.isTextDue) return;
    this.isTextDue = true;
    process.nextTick(flush, this);
  }

  private end(): void {
    this.flush();
    // Unlike Envoy: a body that is not as long as it was said to be ends the connection, on which it would be read wrongly.
    if (this.framing === "length" && this.left !== 0) this.client.setLast();
    if (this.framing === "tunnel") this.client.endTunnel();
    else this.client.end();
  }

  private endRequest(): void {
    this.requestEnded = true;
    this.client.setPaused(false);
  }
}

function flush(downstream: Http1Downstream): void {
  downstream.flush();
}

/** A status line and the headers behind it. */
function headText(headers: HeaderMap): string {
  const status = headers.get(":status")!;
  return `HTTP/1.1 ${status} ${statusText(Number(status))}\r\n${headerText(headers)}`;
}

/** Lines of headers. What would not be read as one line is left out. */
function headerText(headers: HeaderMap): string {
  let text = "";
  for (const [name, value] of headers.lines)
    if (name.charCodeAt(0) !== colon && valueText.test(value)) text += `${name}: ${value}\r\n`;
  return text;
}

const colon = 0x3a;
