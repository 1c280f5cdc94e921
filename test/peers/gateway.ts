import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { type AddressInfo, connect } from "node:net";
import type { TestContext } from "node:test";
import { type Gateway, type GatewayOptions, startGateway } from "../../src/gateway/gateway.ts";
import type { GatewayConfig } from "../../src/gateway/gateway-config.ts";
import { silentLog } from "../../src/log.ts";
import { createWatchable, type Watchable } from "../../src/watchable.ts";

export interface RunningGateway {
  readonly gateway: Gateway;
  readonly port: number;
  readonly config: Watchable<GatewayConfig>;
  stop(): Promise<void>;
}

/** Starts a gateway that ends with the test. */
export async function runGateway(
  context: TestContext,
  first: GatewayConfig,
  options: Partial<GatewayOptions> = {},
): Promise<RunningGateway> {
  const ended = new AbortController();
  const config = createWatchable(first);
  const gateway = startGateway({ config, log: silentLog, signal: ended.signal, drainMs: 100, ...options });
  const stop = () => {
    ended.abort();
    return gateway.closed;
  };
  context.after(stop);
  await gateway.settled();
  const port = gateway.listeners.get("test")?.port;
  if (port === undefined) throw new Error("the gateway's listener is not open");
  return { gateway, port, config, stop };
}

export interface TestUpstream {
  readonly port: number;
  readonly server: Server;
}

/** Starts an upstream that ends with the test. */
export async function runUpstream(context: TestContext, answer: RequestListener): Promise<TestUpstream> {
  const server = createServer(answer);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  context.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, server };
}

/** All of a body. */
export async function readBody(message: IncomingMessage): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of message) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

/** Sends bytes and gives all that comes back until the connection ends. */
export function sendRaw(port: number, text: string | readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const parts = typeof text === "string" ? [text] : text;
    const socket = connect(port, "127.0.0.1", () => {
      for (const part of parts) socket.write(part, "latin1");
    });
    let received = "";
    socket.on("data", (bytes) => {
      received += bytes.toString("latin1");
    });
    socket.on("close", () => resolve(received));
    socket.on("error", reject);
  });
}
