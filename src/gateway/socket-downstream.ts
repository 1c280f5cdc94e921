import type { Duplex } from "node:stream";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { closeGently } from "./close-gently.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents } from "./downstream.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { statusText } from "./status-text.ts";

const none = new Uint8Array(0);

/**
 * The client's side of the last stream of an HTTP/1 connection that Node's server has left to us: an upgrade, whose body is
 * the other protocol's bytes, or an answer to what was no request.
 */
export class SocketDownstream implements Downstream {
  readonly protocol = "HTTP/1.1";
  readonly isUpgrade: boolean;
  readonly connection: DownstreamConnection;
  private readonly socket: Duplex;
  private readonly http: HttpConnection;
  private isChunked = false;
  private isSwitched = false;

  constructor(socket: Duplex, connection: DownstreamConnection, http: HttpConnection, isUpgrade = false) {
    this.socket = socket;
    this.connection = connection;
    this.http = http;
    this.isUpgrade = isUpgrade;
  }

  /** Begins a stream with an upgrade, and what came behind its head. */
  start(events: DownstreamEvents, headers: HeaderMap, head: Buffer): void {
    const { socket } = this;
    socket.on("close", () => events.onClosed());
    socket.on("error", () => {});
    socket.on("drain", () => events.onDrain());
    socket.on("end", () => events.onData(none, true));
    events.onHeaders(headers, false);
    if (head.length > 0) events.onData(head, false);
    socket.on("data", (bytes: Buffer) => events.onData(bytes, false));
  }

  sendInformational(): void {}

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    const status = headers.get(":status")!;
    this.isSwitched = this.isUpgrade && status === "101";
    let text = `HTTP/1.1 ${status} ${statusText(Number(status))}\r\n`;
    for (const [name, value] of headers.lines) if (name !== ":status") text += `${name}: ${value}\r\n`;
    if (!this.isSwitched) {
      const hasLength = headers.get("content-length") !== undefined;
      this.isChunked = !hasLength && !endOfStream;
      text += "connection: close\r\n";
      if (this.isChunked) text += "transfer-encoding: chunked\r\n";
      else if (!hasLength) text += "content-length: 0\r\n";
    }
    this.socket.write(`${text}\r\n`, "latin1");
    if (endOfStream) this.end();
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { socket } = this;
    if (this.isChunked && bytes.length > 0) socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
    const isRoom = bytes.length === 0 || socket.write(bytes);
    if (this.isChunked && bytes.length > 0) socket.write("\r\n");
    if (endOfStream) this.end();
    return isRoom;
  }

  sendTrailers(): void {
    this.end();
  }

  reset(): void {
    this.socket.destroy();
  }

  setPaused(paused: boolean): void {
    if (paused) this.socket.pause();
    else this.socket.resume();
  }

  private end(): void {
    if (this.isChunked) this.socket.write("0\r\n\r\n");
    if (this.isSwitched) this.socket.end();
    else closeGently(this.socket, this.http.delayedCloseTimeoutMs);
  }
}
