import { connect as connectTcp, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, TLSSocket } from "node:tls";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { ProtocolError } from "./header-text.ts";
import { createResponseParser, type ResponseParser } from "./response-parser.ts";
import type { EndedConnection, TakenBytes } from "./stats/count-upstream.ts";
import type {
  ResetReason,
  UpstreamConnection,
  UpstreamEvents,
  UpstreamReset,
  UpstreamStream,
} from "./upstream-stream.ts";

export interface ConnectionTarget {
  /** An IP address; of a pipe, its path. */
  readonly address: string;
  /** 0 with a pipe. */
  readonly port: number;
  readonly connectTimeoutMs: number;
  /** Trailers pass; otherwise they are dropped. */
  readonly enableTrailers: boolean;
  /** Undefined: plaintext. */
  readonly tls: ConnectionOptions | undefined;
}

/** What happens to a connection, besides its requests. */
export interface ConnectionOwner {
  /** Connected, or free again. */
  onFree(connection: Http1Connection): void;
  /** Once. `failed`: it never was connected. */
  onClosed(connection: Http1Connection, failed: UpstreamReset | undefined): void;
}

/** Sockets read into a buffer of their own: parts of it are copied only if they are passed on. */
const readBytes = 64 * 1024;
const none = new Uint8Array(0);
const bodiless: ReadonlySet<string> = new Set(["GET", "HEAD", "DELETE", "TRACE", "CONNECT"]);

/** A connection to an endpoint, with at most one request on it. */
export class Http1Connection implements UpstreamConnection {
  requests = 0;
  isConnected = false;
  private readonly socket: Socket;
  private readonly parser: ResponseParser;
  private readonly owner: ConnectionOwner;
  private stream: Http1Stream | undefined;
  readonly hasTrailers: boolean;
  private connectTimer: NodeJS.Timeout | undefined;
  private closed = false;
  private remote = "";
  private local = "";
  private readonly since = performance.now();
  private isRemoteEnd = false;
  private wasBusy = false;
  private taken: TakenBytes = { received: 0, sent: 0 };

  constructor(target: ConnectionTarget, owner: ConnectionOwner) {
    this.owner = owner;
    this.hasTrailers = target.enableTrailers;
    this.remote = target.port === 0 ? target.address : hostPort(target.address, target.port);
    this.parser = createResponseParser({
      onInformational: (headers) => this.stream?.events.onInformational?.(headers),
      onHeaders: (headers, end) => this.stream?.headersCame(headers, end),
      onData: (bytes, end) => this.stream?.dataCame(bytes, end),
      onTrailers: (trailers) => this.stream?.trailersCame(trailers),
    });
    this.socket = this.open(target);
  }

  get remoteAddress(): string {
    return this.remote;
  }

  get localAddress(): string {
    return this.local;
  }

  get tlsVersion(): string | undefined {
    return this.socket instanceof TLSSocket ? (this.socket.getProtocol() ?? undefined) : undefined;
  }

  get isBusy(): boolean {
    return this.stream !== undefined;
  }

  get ageMs(): number {
    return performance.now() - this.since;
  }

  /** What is counted of it at its end. */
  ended(failed: UpstreamReset | undefined): EndedConnection {
    const { requests, wasBusy, isRemoteEnd: isRemote } = this;
    return { requests, lengthMs: this.ageMs, wasBusy, isRemote, failed };
  }

  /** Bytes since the last time that somebody asked. */
  takeBytes(): TakenBytes {
    const { bytesRead, bytesWritten } = this.socket;
    const { received, sent } = this.taken;
    this.taken = { received: bytesRead, sent: bytesWritten };
    return { received: bytesRead - received, sent: bytesWritten - sent };
  }

  /** Begins a request. The connection must be free. */
  begin(events: UpstreamEvents): UpstreamStream {
    this.requests++;
    this.stream = new Http1Stream(this, events);
    events.onReady?.(this);
    return this.stream;
  }

  close(): void {
    this.end("local reset", undefined);
  }

  private open({ address, port, connectTimeoutMs, tls }: ConnectionTarget): Socket {
    const onread = {
      buffer: Buffer.allocUnsafeSlow(readBytes),
      callback: (length: number, buffer: Uint8Array) => this.receive(buffer.subarray(0, length)),
    };
    const place = port === 0 ? { path: address } : { host: address, port };
    const socket = tls
      ? connectTls({ ...tls, ...place, ...{ onread } } as ConnectionOptions)
      : connectTcp({ ...place, onread, noDelay: true, keepAlive: false });
    if (tls) socket.setNoDelay(true);
    this.connectTimer = setTimeout(() => this.end("connection timeout", undefined), connectTimeoutMs);
    socket.once(tls ? "secureConnect" : "connect", () => {
      clearTimeout(this.connectTimer);
      this.isConnected = true;
      const { localAddress, localPort } = socket;
      if (localAddress !== undefined) this.local = hostPort(localAddress, localPort!);
      this.owner.onFree(this);
    });
    socket.on("drain", () => this.stream?.events.onDrain?.());
    socket.on("end", () => this.peerEnded());
    socket.on("error", (error: NodeJS.ErrnoException) => this.failed(error));
    socket.on("close", () => this.end("connection termination", undefined));
    return socket;
  }

  private receive(bytes: Uint8Array): boolean {
    try {
      this.parser.push(bytes);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.end("protocol error", undefined);
    }
    return true;
  }

  private peerEnded(): void {
    this.isRemoteEnd = true;
    const { stream } = this;
    const { isInChunks } = this.parser;
    if (this.parser.end() && stream && this.parser.isTunnel) stream.dataCame(new Uint8Array(0), true);
    // As Envoy: a chunked body without its end is a fault of the protocol.
    this.end(isInChunks ? "protocol error" : "connection termination", undefined);
  }

  private failed(error: NodeJS.ErrnoException): void {
    this.isRemoteEnd = true;
    if (this.isConnected) this.end("connection termination", undefined);
    else
      this.end(
        "remote connection failure",
        `delayed connect error: ${connectErrors[error.code ?? ""] ?? error.code}`,
      );
  }

  /** Ends the connection, and the request on it. */
  end(reason: ResetReason, transport: string | undefined): void {
    if (this.closed) return;
    this.closed = true;
    clearTimeout(this.connectTimer);
    this.socket.destroy();
    const { stream } = this;
    this.stream = undefined;
    this.wasBusy = stream !== undefined;
    const reset = { reason, transport, beforeSent: !this.isConnected };
    this.owner.onClosed(this, this.isConnected ? undefined : reset);
    stream?.wasReset(reset);
  }

  // What the request on it calls:

  sendHead(headers: HeaderMap, endOfStream: boolean): boolean {
    const { text, method, isChunked } = encodeRequestHead(headers, endOfStream);
    this.parser.expect(method);
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
    this.stream = undefined;
    if (this.closed) return;
    if (isRequestSent && this.parser.isIdle && this.parser.keepsAlive) this.owner.onFree(this);
    else this.end("local reset", undefined);
  }

  get isTunnel(): boolean {
    return this.parser.isTunnel;
  }
}

/** The words for what Node has codes for. */
const connectErrors: Readonly<Record<string, string>> = {
  ECONNREFUSED: "Connection refused",
  ECONNRESET: "Connection reset by peer",
  EHOSTUNREACH: "No route to host",
  ENETUNREACH: "Network is unreachable",
  ENOENT: "No such file or directory",
};

export function hostPort(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
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
  return { text: `${method} ${path} HTTP/1.1\r\n${text}\r\n`, method, isChunked };
}

const colon = 0x3a;
