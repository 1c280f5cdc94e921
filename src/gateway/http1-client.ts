import type { Socket } from "node:net";
import { closeGently } from "./close-gently.ts";
import { ConnectionLife } from "./connection-life.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { ProtocolError } from "./header-text.ts";
import type { Http1Downstream } from "./http1-downstream.ts";
import type { GatewayReply } from "./local-replies.ts";
import { replyToFault } from "./request-fault.ts";
import { createRequestParser, type ParsedRequest, type RequestParser } from "./request-parser.ts";

export interface Http1ClientOptions {
  readonly socket: Socket;
  readonly connection: DownstreamConnection;
  http(): HttpConnection;
  isDraining(): boolean;
  /** Serves a request: those before it have been answered. */
  onRequest(request: ParsedRequest, client: Http1Client): void;
  /** Answers what is no request. The connection ends with it. */
  onFault(reply: GatewayReply, client: Http1Client): void;
  /** How long a head may be on its way, and what is said of one that takes longer. */
  headTimeout(): { readonly ms: number; readonly reply: GatewayReply };
}

/** A client's connection over HTTP/1. Requests that came together are answered one after the other, as in Envoy. */
export class Http1Client {
  readonly connection: DownstreamConnection;
  private readonly socket: Socket;
  private readonly options: Http1ClientOptions;
  private readonly life: ConnectionLife;
  private readonly parser: RequestParser;
  private current: Http1Downstream | undefined;
  /** What came behind a request that is not answered yet. */
  private waiting: Buffer | undefined;
  private isBodyPaused = false;
  /** What comes is nobody's. */
  private isDeaf = false;
  private headTimer: NodeJS.Timeout | undefined;

  constructor(options: Http1ClientOptions) {
    const { socket, connection, isDraining } = options;
    const http = options.http();
    this.socket = socket;
    this.connection = connection;
    this.options = options;
    const close = () => closeGently(socket, http.delayedCloseTimeoutMs);
    this.life = new ConnectionLife(http, isDraining, { isMultiplexed: false, announce() {}, close });
    this.parser = createRequestParser(
      {
        onRequest: (request) => options.onRequest(request, this),
        onData: (bytes, endOfStream) => this.current?.dataCame(bytes, endOfStream),
        onTrailers: (trailers) => this.current?.trailersCame(trailers),
      },
      () => {
        const { maxRequestHeadersKb, maxHeadersCount } = options.http();
        return { maxHeadBytes: maxRequestHeadersKb * 1024, maxHeaders: maxHeadersCount };
      },
    );
    socket.on("data", (bytes: Buffer) => this.receive(bytes));
    socket.on("drain", () => this.drained());
    socket.on("end", () => this.ended());
    socket.on("error", () => {});
    socket.on("close", () => this.closed());
  }

  /** The response that is sent now is to say that the connection ends. */
  get isEnding(): boolean {
    return this.life.isLast || this.life.isEnding;
  }

  get isIdle(): boolean {
    return this.life.isIdle;
  }

  /** The response that is sent now is the last: what follows it is dropped. */
  setLast(): void {
    this.life.isLast = true;
  }

  /** Whose request it is that comes now. */
  begin(downstream: Http1Downstream): void {
    this.current = downstream;
    this.life.beginStream();
  }

  /** The response has been written. */
  end(): void {
    this.current = undefined;
    this.isBodyPaused = false;
    this.life.endStream();
    if (this.life.isLast) this.close();
    else if (this.waiting) setImmediate(() => this.readOn());
    else if (this.socket.isPaused()) this.socket.resume();
  }

  /** False: wait for `drained`. */
  write(text: string): boolean {
    return this.socket.write(text, "latin1");
  }

  /** Writes bytes with what goes before and behind them. */
  writeBytes(before: string, bytes: Uint8Array, behind: string): boolean {
    const { socket } = this;
    socket.cork();
    if (before !== "") socket.write(before, "latin1");
    const isRoom = socket.write(bytes);
    if (behind !== "") socket.write(behind, "latin1");
    socket.uncork();
    return isRoom && !socket.writableNeedDrain;
  }

  get hasRoom(): boolean {
    return !this.socket.writableNeedDrain;
  }

  setPaused(paused: boolean): void {
    if (paused === this.isBodyPaused) return;
    this.isBodyPaused = paused;
    if (paused) this.socket.pause();
    else if (!this.waiting) this.socket.resume();
  }

  /** The other protocol's bytes may come. */
  openTunnel(): void {
    if (this.waiting) setImmediate(() => this.readOn());
  }

  /** Ends our side; the client may end its own later. */
  endTunnel(): void {
    this.socket.end();
  }

  /** Ends the connection. What was written still leaves, if the client reads it within a time. */
  cut(flushMs: number): void {
    const { socket } = this;
    this.isDeaf = true;
    if (flushMs === 0) {
      socket.destroy();
      return;
    }
    const timer = setTimeout(() => socket.destroy(), flushMs);
    socket.once("close", () => clearTimeout(timer));
    socket.destroySoon();
  }

  /** Ends the connection if nothing is asked on it. */
  closeIdle(): void {
    if (this.isIdle) this.socket.destroy();
  }

  private close(): void {
    this.isDeaf = true;
    this.waiting = undefined;
    closeGently(this.socket, this.options.http().delayedCloseTimeoutMs);
  }

  private receive(bytes: Buffer): void {
    let rest = this.waiting ? Buffer.concat([this.waiting, bytes]) : bytes;
    this.waiting = undefined;
    try {
      while (rest.length > 0 && !this.isDeaf) {
        if (this.mustWait) {
          this.wait(rest);
          break;
        }
        rest = this.parser.push(rest);
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fail(replyToFault(error));
    }
    if (this.parser.isWithinHead !== (this.headTimer !== undefined)) this.watchHead();
  }

  /** Nobody takes what comes now: a response is on its way, or has no room. */
  private get mustWait(): boolean {
    const { parser, current } = this;
    // Unlike Envoy: an upstream that switches no protocols would read these bytes as requests that no filter has seen.
    if (parser.isTunnel) return current !== undefined && !current.isTunnel;
    return parser.isIdle && (current !== undefined || !this.hasRoom);
  }

  private wait(bytes: Buffer): void {
    this.waiting = bytes;
    this.socket.pause();
  }

  private readOn(): void {
    const { waiting } = this;
    if (!waiting || this.mustWait || this.isDeaf || this.socket.destroyed) return;
    this.waiting = undefined;
    this.receive(waiting);
    if (!this.waiting && !this.isBodyPaused && !this.isDeaf) this.socket.resume();
  }

  private watchHead(): void {
    clearTimeout(this.headTimer);
    this.headTimer = undefined;
    if (!this.parser.isWithinHead || this.isDeaf) return;
    const { ms, reply } = this.options.headTimeout();
    this.headTimer = setTimeout(() => this.fail(reply), ms);
  }

  /** What comes is no request, or not the rest of one. */
  private fail(reply: GatewayReply): void {
    this.isDeaf = true;
    clearTimeout(this.headTimer);
    if (this.current) this.current.fail(reply);
    else if (!this.socket.writable) this.socket.destroy();
    else this.options.onFault(reply, this);
    this.setLast();
  }

  private drained(): void {
    if (this.current) this.current.drained();
    else this.readOn();
  }

  /** The client says that it sends nothing more. As in Envoy it is gone, unless it has switched protocols. */
  private ended(): void {
    if (this.current?.isTunnel) this.current.dataCame(none, true);
    else if (this.current) this.socket.destroy();
  }

  private closed(): void {
    this.isDeaf = true;
    this.life.dispose();
    clearTimeout(this.headTimer);
    this.current?.closed();
    this.current = undefined;
  }
}

const none = Buffer.alloc(0);
