import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { HttpStream } from "./http-stream.ts";
import { readRequest } from "./read-request.ts";
import { acceptHeaders, withTrustedAddress } from "./request-headers.ts";
import { type Http1Options, refuse } from "./serve-http1.ts";
import { SocketDownstream } from "./socket-downstream.ts";

/**
 * A request to switch protocols: Node hands its socket over, and what follows on it is a body without an end. `readAgain`
 * gives the socket back to the server.
 */
export function serveUpgrade(
  request: IncomingMessage,
  socket: Socket,
  head: Buffer,
  options: Http1Options,
  readAgain: () => void,
): void {
  if (request.headers.upgrade?.toLowerCase() === "h2c") {
    socket.unshift(Buffer.concat([Buffer.from(withoutUpgrade(request), "latin1"), head]));
    readAgain();
    return;
  }
  const plan = options.plan();
  const direct = options.connectionOf(socket);
  const read = readRequest(request, plan.http, direct);
  if ("status" in read) {
    refuse(socket, read, options);
    return;
  }
  const connection = withTrustedAddress(direct, read.lines, plan.http);
  const downstream = new SocketDownstream(socket, connection, plan.http, true);
  const headers = acceptHeaders({ lines: read.lines, isUpgrade: true, connection }, plan.http);
  downstream.start(new HttpStream(options.world, plan, downstream), headers, head);
}

/** As Envoy: a client that would like to speak HTTP/2 is answered in HTTP/1. */
function withoutUpgrade({ method, url, rawHeaders }: IncomingMessage): string {
  let text = `${method} ${url} HTTP/1.1\r\n`;
  for (let i = 0; i + 1 < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    if (name === "upgrade" || name === "http2-settings" || name === "connection") continue;
    text += `${rawHeaders[i]}: ${rawHeaders[i + 1]}\r\n`;
  }
  return `${text}\r\n`;
}
