import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { connect, createServer } from "node:tls";
import type { CertificateFiles } from "./certificate.ts";

/** A proxy that ends TLS and begins it anew towards a port of loopback, and knows nothing of HTTP/2. */
export async function startTlsTerminator(
  t: Pick<TestContext, "after">,
  files: CertificateFiles,
  target: number,
): Promise<{ readonly port: number }> {
  const sockets = new Set<{ destroy(): unknown }>();
  const tls = { cert: await readFile(files.certificate), key: await readFile(files.key) };
  const server = createServer({ ...tls, ALPNProtocols: ["http/1.1"] }, (client) => {
    // Whose certificate that is makes no difference here.
    const upstream = connect({ host: "127.0.0.1", port: target, rejectUnauthorized: false });
    client.pipe(upstream).pipe(client);
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket
        .on("error", () => {})
        .once("close", () => {
          sockets.delete(socket);
          other.destroy();
        });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return { port: (server.address() as AddressInfo).port };
}
