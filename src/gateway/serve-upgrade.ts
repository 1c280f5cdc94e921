import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents } from "./downstream.ts";
import { HttpStream } from "./http-stream.ts";
import { readRequest } from "./read-request.ts";
import { acceptHeaders } from "./request-headers.ts";
import { type Http1Options, refuse } from "./serve-http1.ts";
import { statusText } from "./status-text.ts";

const none = new Uint8Array(0);

/** A request to switch protocols: Node hands its socket over, and what follows on it is a body without an end. */
export function serveUpgrade(
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
  options: Http1Options,
): void {
  const plan = options.plan();
  const connection = options.connectionOf(socket);
  const read = readRequest(request, plan.http);
  if ("status" in read) {
    refuse(socket, read.status, "", options);
    return;
  }
  const downstream = new UpgradeDownstream(socket, connection);
  const headers = acceptHeaders({ lines: read.lines, isUpgrade: true, connection }, plan.http);
  downstream.start(new HttpStream(options.world, plan, downstream), headers, head);
}

/** The client's side of an upgrade. Its connection is used for nothing else afterwards. */
class UpgradeDownstream implements Downstream {
  readonly protocol = "HTTP/1.1";
  readonly isUpgrade = true;
  readonly connection: DownstreamConnection;
  private readonly socket: Duplex;
  private isChunked = false;

  constructor(socket: Duplex, connection: DownstreamConnection) {
    this.socket = socket;
    this.connection = connection;
  }

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
    const isSwitch = status === "101";
    let text = `HTTP/1.1 ${status} ${statusText(Number(status))}\r\n`;
    for (const [name, value] of headers.lines) if (name !== ":status") text += `${name}: ${value}\r\n`;
    if (!isSwitch) {
      const hasLength = headers.get("content-length") !== undefined;
      this.isChunked = !hasLength && !endOfStream;
      text += "connection: close\r\n";
      if (this.isChunked) text += "transfer-encoding: chunked\r\n";
      else if (!hasLength) text += "content-length: 0\r\n";
    }
    this.socket.write(`${text}\r\n`, "latin1");
    if (endOfStream) this.socket.end();
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { socket } = this;
    if (this.isChunked && bytes.length > 0) socket.write(`${bytes.length.toString(16)}\r\n`, "latin1");
    const isRoom = bytes.length === 0 || socket.write(bytes);
    if (this.isChunked && bytes.length > 0) socket.write("\r\n");
    if (endOfStream) socket.end(this.isChunked ? "0\r\n\r\n" : undefined);
    return isRoom;
  }

  sendTrailers(): void {
    this.sendData(none, true);
  }

  reset(): void {
    this.socket.destroy();
  }

  setPaused(paused: boolean): void {
    if (paused) this.socket.pause();
    else this.socket.resume();
  }
}
