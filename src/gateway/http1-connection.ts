import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { hostPort } from "./endpoint-address.ts";
import { ProtocolError } from "./header-text.ts";
import { createResponseParser, type ResponseParser } from "./response-parser.ts";
import type { UpstreamSocket } from "./upstream-socket.ts";
import type {
  CodecOwner,
  ResetReason,
  UpstreamCodec,
  UpstreamConnection,
  UpstreamEvents,
  UpstreamReset,
  UpstreamStream,
} from "./upstream-stream.ts";

const none = new Uint8Array(0);
const bodiless: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "TRACE", "CONNECT"]);

/** HTTP/1 on a connected socket, with at most one request on it. */
export class Http1Connection implements UpstreamConnection, UpstreamCodec {
  readonly protocol = "http1";
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly hasTrailers: boolean;
  private readonly socket: Socket;
  private readonly parser: ResponseParser;
  private readonly owner: CodecOwner;
  private stream: Http1Stream | undefined;
  private closed = false;
  private draining = false;
  private isRemoteEnd = false;

  constructor(opened: UpstreamSocket, owner: CodecOwner, enableTrailers: boolean) {
    this.owner = owner;
    this.hasTrailers = enableTrailers;
    this.remoteAddress = opened.remoteAddress;
    // While it is known: logs ask for it when the connection may be gone.
    const { localAddress, localPort } = opened.socket;
    this.localAddress = localAddress === undefined ? "" : hostPort(localAddress, localPort!);
    this.parser = createResponseParser({
      onInformational: (headers) => this.stream?.events.onInformational?.(headers),
      onHeaders: (headers, end) => this.stream?.headersCame(headers, end),
      onData: (bytes, end) => this.stream?.dataCame(bytes, end),
      onTrailers: (trailers) => this.stream?.trailersCame(trailers),
    });
    this.socket = opened.socket;
    this.listen(opened);
  }

  get tlsVersion(): string | undefined {
    return this.socket instanceof TLSSocket ? (this.socket.getProtocol() ?? undefined) : undefined;
  }

  get room(): number {
    return this.stream || this.closed || this.draining ? 0 : 1;
  }

  /** Begins a request. The connection must be free. */
  begin(events: UpstreamEvents): UpstreamStream {
    this.stream = new Http1Stream(this, events);
    events.onReady?.(this);
    return this.stream;
  }

  drain(): void {
    this.draining = true;
    if (!this.stream) this.end("local reset", undefined);
  }

  private listen(opened: UpstreamSocket): void {
    const { socket } = opened;
    const receive = (bytes: Uint8Array) => this.receive(bytes);
    if (opened.reusesBuffer) opened.reader = receive;
    else socket.on("data", receive);
    socket.on("drain", () => this.stream?.events.onDrain?.());
    socket.on("end", () => this.ended());
    socket.on("error", () => {
      this.isRemoteEnd = true;
      this.end("connection termination", undefined);
    });
    socket.on("close", () => this.end("connection termination", undefined));
  }

  private receive(bytes: Uint8Array): void {
    try {
      this.parser.push(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.end("protocol error", undefined);
    }
  }

  private ended(): void {
    this.isRemoteEnd = true;
    const { stream, parser } = this;
    if (parser.end() && stream && parser.isTunnel) stream.dataCame(none, true);
    this.end(parser.isWithin ? "protocol error" : "connection termination", undefined);
  }

  /** Ends the connection, and the request on it. */
  end(reason: ResetReason, transport: string | undefined): void {
    if (this.closed) return;
    this.closed = true;
    this.socket.destroy();
    const { stream } = this;
    this.stream = undefined;
    if (stream) this.owner.onStreamEnd();
    this.owner.onClosed({ isRemote: this.isRemoteEnd, wasBusy: stream !== undefined });
    stream?.wasReset({ reason, transport, beforeSent: false });
  }

  // What the request on it calls:

  sendHead(headers: HeaderMap, endOfStream: boolean): boolean {
    const { text, method, isChunked, isUpgrade } = encodeRequestHead(headers, endOfStream);
    this.parser.expect(method, isUpgrade);
    this.socket.write(text, "latin1");
    return isChunked;
  }

  write(bytes: Uint8Array): boolean {
    return this.socket.write(bytes);
  }

  writeChunk(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { socket } = this;
    socket.cork();
    if (bytes.length > 0) {
      socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
      socket.write(bytes);
      socket.write("\r\n", "latin1");
    }
    if (endOfStream) socket.write("0\r\n\r\n", "latin1");
    socket.uncork();
    return !socket.writableNeedDrain;
  }

  writeTrailers(trailers: HeaderMap): void {
    let text = "0\r\n";
    for (const [name, value] of trailers.lines) text += `${name}: ${value}\r\n`;
    this.socket.write(`${text}\r\n`, "latin1");
  }

  endTunnel(): void {
    this.socket.end();
  }

  setPaused(paused: boolean): void {
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  /** The response is over: with the request, or before it. */
  release(isRequestSent: boolean): void {
    if (this.closed) return;
    this.stream = undefined;
    // A connection that is not kept must be closed first: nobody may find room on it.
    const isKept = isRequestSent && !this.draining && this.parser.isIdle && this.parser.keepsAlive;
    this.closed = !isKept;
    if (!isKept) this.socket.destroy();
    else if (this.socket.isPaused()) this.socket.resume();
    this.owner.onStreamEnd();
    if (!isKept) this.owner.onClosed({ isRemote: this.isRemoteEnd, wasBusy: false });
  }

  get isTunnel(): boolean {
    return this.parser.isTunnel;
  }
}

/** A request on a connection. */
class Http1Stream implements UpstreamStream {
  readonly events: UpstreamEvents;
  private readonly connection: Http1Connection;
  private isChunked = false;
  private isSent = false;
  private isOver = false;

  constructor(connection: Http1Connection, events: UpstreamEvents) {
    this.connection = connection;
    this.events = events;
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.isSent = endOfStream;
    this.isChunked = this.connection.sendHead(headers, endOfStream);
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    if (this.isOver) return true;
    this.isSent = endOfStream;
    if (this.isChunked && !this.connection.isTunnel) return this.connection.writeChunk(bytes, endOfStream);
    const isRoom = bytes.length === 0 || this.connection.write(bytes);
    if (endOfStream && this.connection.isTunnel) this.connection.endTunnel();
    return isRoom;
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.isOver) return;
    if (!this.connection.hasTrailers) {
      this.sendData(none, true);
      return;
    }
    this.isSent = true;
    if (this.isChunked) this.connection.writeTrailers(trailers);
  }

  setPaused(paused: boolean): void {
    if (!this.isOver) this.connection.setPaused(paused);
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    this.connection.end("local reset", undefined);
  }

  // What the connection calls:

  headersCame(headers: HeaderMap, end: boolean): void {
    if (end) this.finish();
    this.events.onHeaders(headers, end);
  }

  dataCame(bytes: Uint8Array, end: boolean): void {
    // The bytes are the connection's own buffer.
    const own = bytes.length === 0 ? bytes : Buffer.from(bytes);
    if (end) this.finish();
    this.events.onData(own, end);
  }

  trailersCame(trailers: HeaderMap): void {
    this.finish();
    if (this.connection.hasTrailers) this.events.onTrailers(trailers);
    else this.events.onData(none, true);
  }

  wasReset(reset: UpstreamReset): void {
    if (this.isOver) return;
    this.isOver = true;
    this.events.onReset(reset);
  }

  private finish(): void {
    this.isOver = true;
    this.connection.release(this.isSent);
  }
}

interface RequestHead {
  readonly text: string;
  readonly method: string;
  readonly isChunked: boolean;
  readonly isUpgrade: boolean;
}

/** A request's head as Envoy writes it: `:authority` as host, and how long the body is where nobody said that. */
export function encodeRequestHead(headers: HeaderMap, endOfStream: boolean): RequestHead {
  let method = "";
  let path = "";
  let text = "";
  let hasLength = false;
  let isUpgrade = false;
  for (const [name, value] of headers.lines) {
    if (name.charCodeAt(0) === colon) {
      if (name === ":method") method = value;
      else if (name === ":path") path = value;
      else if (name === ":authority") text += `host: ${value}\r\n`;
      continue;
    }
    if (name === "content-length") hasLength = true;
    else if (name === "upgrade") isUpgrade = true;
    text += `${name}: ${value}\r\n`;
  }
  const isChunked = !endOfStream && !hasLength && !isUpgrade;
  if (isChunked) text += "transfer-encoding: chunked\r\n";
  else if (endOfStream && !hasLength && !bodiless.has(method)) text += "content-length: 0\r\n";
  return { text: `${method} ${path} HTTP/1.1\r\n${text}\r\n`, method, isChunked, isUpgrade };
}

const colon = 0x3a;
