import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** What a request may hold that is told back, in bytes. */
const maxBytes = 1024 * 1024;

/** Starts a server on loopback that answers each request with what came, as JSON. Resolves with its port. */
export function startEchoUpstream(signal: AbortSignal): Promise<number> {
  const server = createServer(async (request, response) => {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const part of request) {
      size += (part as Buffer).length;
      if (size <= maxBytes) parts.push(part as Buffer);
    }
    const { method, url: path, headers } = request;
    const body = Buffer.concat(parts).toString();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(`${JSON.stringify({ method, path, headers, body }, null, 2)}\n`);
  });
  signal.addEventListener("abort", () => {
    server.close();
    server.closeAllConnections();
  });
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => resolve((server.address() as AddressInfo).port));
  });
}
