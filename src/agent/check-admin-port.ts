import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { SystemError } from "../system-error.ts";

/** The Envoy of an agent that was killed just now is gone in a moment. */
const patienceMs = 5000;
const pollMs = 100;

/**
 * Fails with `network` and what to do where Envoy could not open its admin interface: it would start and end for ever.
 * @param port 0 for any free one
 */
export async function checkAdminPort(address: string, port: number): Promise<void> {
  const limit = performance.now() + patienceMs;
  for (;;) {
    const error = await tryListen(address, port);
    if (!error) return;
    if (error.code === "EADDRINUSE" && performance.now() < limit) await sleep(pollMs);
    else throw new SystemError("network", messageFor(address, port, error), error);
  }
}

function tryListen(address: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", resolve);
    server.listen(port, address, () => server.close(() => resolve(undefined)));
  });
}

function messageFor(address: string, port: number, { code, message }: NodeJS.ErrnoException): string {
  const what = `Envoy cannot open its admin interface at ${address}:${port}`;
  if (code !== "EADDRINUSE") return `${what}: ${message}`;
  return `${what}: another program has the port (ss -ltnp 'sport = :${port}' names it); end that, or give another --admin-port or --port-offset`;
}
