import { type ClientHttp2Session, type ClientHttp2Stream, connect, constants } from "node:http2";
import type { Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { hostPort } from "./endpoint-address.ts";
import { fromHttp2Headers, toHttp2Headers } from "./http2-headers.ts";
import { toConnectRequest, toSwitchResponse } from "./http2-upgrade.ts";
import type { UpstreamSocket } from "./upstream-socket.ts";
import type {
  CodecOwner,
  ResetReason,
  UpstreamCodec,
  UpstreamConnection,
  UpstreamEvents,
  UpstreamStream,
} from "./upstream-stream.ts";

export interface Http2Options {
  /** At once on a connection, as far as the upstream takes them. */
  readonly maxConcurrentStreams: number;
  /** What of a response may come before it is read, in bytes. */
  readonly windowBytes: number;
}

/** As Envoy's for responses. */
const maxHeaderBytes = 60 * 1024;
const maxHeaders = 100;
/** Of Node's bookkeeping and what streams hold, in MB; windows bound it before. */
const maxSessionMemory = 256;
const minWindowBytes = 65_535;

/** HTTP/2 on a connected socket. */
export class Http2Connection implements UpstreamConnection, UpstreamCodec {
  readonly protocol = "http2";
  readonly remoteAddress: string;
  readonly localAddress: string;
  readonly tlsVersion: string | undefined;
  /** Why streams end that the upstream did not end itself. */
  brokenBy: ResetReason | undefined;
  private readonly session: ClientHttp2Session;
  private readonly owner: CodecOwner;
  private readonly options: Http2Options;
  private active = 0;
  private draining = false;
  private isRemoteEnd = false;
  private wasBusy = false;

  constructor({ socket, remoteAddress }: UpstreamSocket, owner: CodecOwner, options: Http2Options) {
    this.owner = owner;
    this.options = options;
    this.remoteAddress = remoteAddress;
    const { localAddress, localPort } = socket;
    this.localAddress = localAddress === undefined ? "" : hostPort(localAddress, localPort!);
    this.tlsVersion = socket instanceof TLSSocket ? (socket.getProtocol() ?? undefined) : undefined;
    // Before the session hears of it, so that its streams know why they end.
    socket.once("close", () => {
      this.brokenBy ??= "connection termination";
      this.wasBusy = this.active > 0;
    });
    socket.once("end", () => {
      this.isRemoteEnd = true;
    });
    this.session = openSession(socket, options);
    this.listen();
  }

  get room(): number {
    if (this.draining || this.brokenBy || this.session.closed || this.session.destroyed) return 0;
    const theirs = this.session.remoteSettings?.maxConcurrentStreams ?? Number.POSITIVE_INFINITY;
    return Math.max(0, Math.min(this.options.maxConcurrentStreams, theirs) - this.active);
  }

  begin(events: UpstreamEvents): UpstreamStream {
    this.active++;
    const stream = new Http2Stream(this, this.session, events);
    events.onReady?.(this);
    return stream;
  }

  drain(): void {
    this.draining = true;
    if (this.active === 0) this.session.close();
  }

  streamEnded(): void {
    this.active--;
    this.owner.onStreamEnd();
    if (this.draining && this.active === 0) this.session.close();
  }

  private listen(): void {
    const { session, owner } = this;
    session.on("remoteSettings", () => owner.onRoom());
    session.on("goaway", () => {
      this.draining = true;
      owner.onRoom();
    });
    session.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ERR_HTTP2_ERROR") this.brokenBy = "protocol error";
    });
    session.once("close", () => {
      this.brokenBy ??= "connection termination";
      owner.onClosed({ isRemote: this.isRemoteEnd, wasBusy: this.wasBusy });
    });
  }
}

function openSession(socket: Socket, { windowBytes }: Http2Options): ClientHttp2Session {
  const initialWindowSize = Math.max(minWindowBytes, windowBytes);
  const session = connect("http://upstream", {
    createConnection: () => socket,
    maxSessionMemory,
    maxHeaderListPairs: maxHeaders,
    settings: { enablePush: false, initialWindowSize, maxHeaderListSize: maxHeaderBytes },
  });
  session.setLocalWindowSize?.(2 * initialWindowSize);
  return session;
}

/** A request on a connection. */
class Http2Stream implements UpstreamStream {
  private readonly connection: Http2Connection;
  private readonly session: ClientHttp2Session;
  private readonly events: UpstreamEvents;
  private stream: ClientHttp2Stream | undefined;
  private requestTrailers: HeaderMap | undefined;
  private responseTrailers: HeaderMap | undefined;
  private upgrade: string | undefined;
  private isSent = false;
  private isAnswered = false;
  private isOver = false;

  constructor(connection: Http2Connection, session: ClientHttp2Session, events: UpstreamEvents) {
    this.connection = connection;
    this.session = session;
    this.events = events;
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    this.isSent = endOfStream;
    this.upgrade = headers.get("upgrade");
    const sent = this.upgrade === undefined ? headers : toConnectRequest(headers);
    try {
      const options = { endStream: endOfStream, waitForTrailers: !endOfStream };
      this.stream = this.session.request(toHttp2Headers(sent), options);
    } catch {
      // Headers that HTTP/2 cannot carry, or a session that has just gone.
      this.reset(this.session.destroyed ? "connection termination" : "protocol error");
      return;
    }
    this.listen(this.stream);
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { stream } = this;
    if (this.isOver || !stream) return true;
    const isRoom = bytes.length === 0 || stream.write(bytes);
    if (endOfStream) this.endRequest(stream);
    return isRoom;
  }

  sendTrailers(trailers: HeaderMap): void {
    if (this.isOver || !this.stream) return;
    this.requestTrailers = trailers;
    this.endRequest(this.stream);
  }

  setPaused(paused: boolean): void {
    if (this.isOver) return;
    if (paused) this.stream?.pause();
    else this.stream?.resume();
  }

  cancel(): void {
    if (this.isOver) return;
    this.finish();
    this.abort();
  }

  private endRequest(stream: ClientHttp2Stream): void {
    this.isSent = true;
    stream.end();
  }

  private listen(stream: ClientHttp2Stream): void {
    const { events } = this;
    stream.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ERR_HTTP2_ERROR") this.connection.brokenBy = "protocol error";
    });
    stream.on("drain", () => events.onDrain?.());
    stream.on("wantTrailers", () =>
      stream.sendTrailers(this.requestTrailers ? toHttp2Headers(this.requestTrailers) : {}),
    );
    stream.on("headers", (_headers, _flags, raw?: string[]) => {
      if (!this.isOver) events.onInformational?.(fromHttp2Headers(raw ?? []));
    });
    // The types know nothing of the third, in which lines are as they came.
    stream.on("response", (_headers, flags, raw?: string[]) => this.headersCame(raw ?? [], flags));
    stream.on("trailers", (_headers, _flags, raw?: string[]) => {
      this.responseTrailers = fromHttp2Headers(raw ?? []);
    });
    stream.on("data", (bytes: Buffer) => {
      if (!this.isOver) events.onData(bytes, false);
    });
    stream.on("end", () => this.bodyEnded(stream));
    stream.once("close", () => this.closed(stream));
  }

  private headersCame(raw: readonly string[], flags: number): void {
    if (this.isOver) return;
    this.isAnswered = true;
    const ends = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
    const headers = fromHttp2Headers(raw);
    if (this.upgrade !== undefined) toSwitchResponse(headers, this.upgrade);
    if (ends) this.complete();
    this.events.onHeaders(headers, ends);
  }

  private bodyEnded(stream: ClientHttp2Stream): void {
    // A stream that was reset ends too, in Node.
    if (this.isOver || !this.isAnswered || stream.aborted || stream.rstCode !== constants.NGHTTP2_NO_ERROR)
      return;
    this.complete();
    if (this.responseTrailers) this.events.onTrailers(this.responseTrailers);
    else this.events.onData(none, true);
  }

  private closed({ rstCode }: ClientHttp2Stream): void {
    if (this.isOver) return;
    if (this.connection.brokenBy) this.reset(this.connection.brokenBy);
    else if (rstCode === constants.NGHTTP2_REFUSED_STREAM) this.reset("remote refused stream reset");
    else if (rstCode === constants.NGHTTP2_PROTOCOL_ERROR) this.reset("protocol error");
    else this.reset("remote reset");
  }

  /** The response is whole. What is left of the request does not go out. */
  private complete(): void {
    this.finish();
    if (!this.isSent) this.abort();
  }

  private abort(): void {
    this.stream?.close(constants.NGHTTP2_CANCEL);
    this.stream?.resume();
  }

  private reset(reason: ResetReason): void {
    if (this.isOver) return;
    this.finish();
    this.events.onReset({ reason, transport: undefined, beforeSent: false });
  }

  private finish(): void {
    this.isOver = true;
    this.connection.streamEnded();
  }
}

const none = new Uint8Array(0);
