import { once } from "node:events";
import { createServer, get as httpGet, type IncomingMessage, request, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import { setTimeout as pause } from "node:timers/promises";

/** An upstream with connections that stay open; it answers everything else with the `x-trail` of the request. */
export interface LongUpstream {
  readonly port: number;
  /** Writes to every open streaming response. */
  tick(text: string): void;
  close(): void;
}

/** Starts the upstream: `/stream` is a response that does not end, an upgrade to `websocket` an echo of bytes. */
export async function startLongUpstream(): Promise<LongUpstream> {
  const streams = new Set<ServerResponse>();
  const server = createServer((received, response) => {
    if (received.url === "/stream") {
      streams.add(response);
      response.on("close", () => streams.delete(response));
      response.write("begin;");
    } else response.setHeader("x-trail", received.headers["x-trail"] ?? "").end("upstream\n");
  });
  const sockets = new Set<Duplex>();
  server.on("upgrade", (_, socket: Duplex) => {
    sockets.add(socket);
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    socket.pipe(socket).on("error", () => {});
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    tick(text) {
      for (const stream of streams) stream.write(text);
    },
    close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      server.closeAllConnections();
    },
  };
}

/** One direction of a connection that stays open. */
export interface OpenConnection {
  /** Resolves when this text has come. Fails when the connection is closed first. */
  receives(text: string): Promise<void>;
  send(text: string): void;
  isOpen(): boolean;
  close(): void;
}

/** Asks for the streaming response through a gateway. */
export async function openStream(port: number, host: string): Promise<OpenConnection> {
  const sent = httpGet({ host: "127.0.0.1", port, path: "/stream", headers: { host }, agent: false });
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return watchConnection(
    response,
    () => {},
    () => sent.destroy(),
  );
}

/** Opens a WebSocket's connection through a gateway. What is sent comes back. */
export async function openWebSocket(port: number, host: string): Promise<OpenConnection> {
  const key = Buffer.from("sixteen bytes ok").toString("base64");
  const headers = {
    ...{ host, Connection: "Upgrade", Upgrade: "websocket" },
    ...{ "Sec-WebSocket-Key": key, "Sec-WebSocket-Version": "13" },
  };
  const sent = request({ host: "127.0.0.1", port, path: "/", headers, agent: false });
  sent.end();
  const [, socket] = (await once(sent, "upgrade")) as [IncomingMessage, Duplex];
  return watchConnection(
    socket,
    (text) => socket.write(text),
    () => socket.destroy(),
  );
}

function watchConnection(
  source: NodeJS.ReadableStream,
  send: (text: string) => void,
  close: () => void,
): OpenConnection {
  let text = "";
  let ended: string | undefined;
  source.on("data", (chunk: Buffer) => {
    text += chunk;
  });
  for (const event of ["end", "error", "close"]) {
    source.on(event, () => {
      ended ??= event;
    });
  }
  return {
    send,
    close,
    isOpen: () => ended === undefined,
    async receives(expected) {
      while (!text.includes(expected)) {
        if (ended) throw new Error(`the connection is over (${ended}) before ${expected} came`);
        await pause(1);
      }
      text = text.slice(text.indexOf(expected) + expected.length);
    },
  };
}
