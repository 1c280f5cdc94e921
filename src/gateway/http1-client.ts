import type { Socket } from "node:net";
import { closeGently } from "./close-gently.ts";
import { ConnectionLife } from "./connection-life.ts";
import type { DownstreamEvents } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import type { GatewayReply } from "./local-replies.ts";

/** A client's connection over HTTP/1. Requests that came together are answered one after the other, as in Envoy. */
export class Http1Client {
  private readonly socket: Socket;
  private readonly life: ConnectionLife;
  private readonly waiting: (() => void)[] = [];
  private current: DownstreamEvents | undefined;

  constructor(socket: Socket, http: HttpConnection, isDraining: () => boolean) {
    const close = () => closeGently(socket, http.delayedCloseTimeoutMs);
    this.socket = socket;
    this.life = new ConnectionLife(http, isDraining, { isMultiplexed: false, announce() {}, close });
    socket.once("close", () => this.life.dispose());
    // Node ends a connection with this after its last response.
    socket.destroySoon = close;
  }

  /** The response that is sent now is to say that the connection ends. */
  get isEnding(): boolean {
    return this.life.isLast || this.life.isEnding;
  }

  /** Nothing that comes is served any more. */
  get isLast(): boolean {
    return this.life.isLast;
  }

  get isIdle(): boolean {
    return this.life.isIdle;
  }

  /** The response that is sent now says that the connection ends: what follows it is dropped. */
  setLast(): void {
    this.life.isLast = true;
  }

  /** Serves a request when those before it have been answered. */
  begin(serve: () => void): void {
    if (this.life.isLast) return;
    if (this.life.isIdle) this.start(serve);
    else {
      this.waiting.push(serve);
      this.pause();
    }
  }

  /** The stream of the request that has begun. */
  setStream(stream: DownstreamEvents): void {
    this.current = stream;
  }

  /** The rest of the request is none. False if there is no stream to be told. */
  fail(reply: GatewayReply): boolean {
    this.current?.onFault(reply);
    return this.current !== undefined;
  }

  /** A response has been sent, or will never be. */
  end(): void {
    this.current = undefined;
    this.life.endStream();
    if (this.life.isLast) this.waiting.length = 0;
    const next = this.waiting.shift();
    if (next) this.start(next);
    // Node's server reads on when it is told that there is room again.
    else if (this.socket.isPaused()) this.socket.emit("drain");
  }

  private start(serve: () => void): void {
    this.life.beginStream();
    serve();
  }

  /** As Node's server does when responses cannot be written: it looks at this mark when it has read to the end of a part. */
  private pause(): void {
    Object.assign(this.socket, { _paused: true });
    this.socket.pause();
  }
}
