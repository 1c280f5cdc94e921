import { once } from "node:events";
import { createServer, type IncomingMessage, request } from "node:http";
import type { AddressInfo } from "node:net";

/** What becomes of a request: a status in its place, or a connection that is cut before or after the registry has it. */
export type Fault = number | "cut before" | "cut within" | "cut after";

export interface FaultyRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** Each request as `METHOD path`, without what it asks for. */
  readonly asked: readonly string[];
  stop(): Promise<void>;
}

/** Stands before a registry without TLS and fails what it is told to; `count` is how often such a method came, from 1. */
export async function startFaultyRegistry(
  target: string,
  chooseFault: (method: string, path: string, count: number) => Fault | undefined,
): Promise<FaultyRegistry> {
  const asked: string[] = [];
  const counts = new Map<string, number>();
  const server = createServer((incoming, outgoing) => {
    const { method = "GET", url = "/" } = incoming;
    const path = url.split("?")[0]!;
    const count = (counts.get(method) ?? 0) + 1;
    counts.set(method, count);
    asked.push(`${method} ${path}`);
    const fault = chooseFault(method, path, count);
    if (fault === "cut before") return void incoming.socket.destroy();
    if (typeof fault === "number") {
      incoming.resume();
      return void outgoing.writeHead(fault).end();
    }
    const headers = { ...incoming.headers };
    const passed = request(`http://${target}${url}`, { method, headers }, (answer) => {
      if (fault === "cut after") return void incoming.socket.destroy();
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => incoming.socket.destroy());
    if (fault === "cut within") void cutWithin(incoming, passed);
    else incoming.pipe(passed);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    asked,
    async stop() {
      server.close();
      server.closeAllConnections();
      await once(server, "close");
    },
  };
}

/** Hands on half of the first piece of a body, and ends both connections. */
async function cutWithin(incoming: IncomingMessage, passed: ReturnType<typeof request>): Promise<void> {
  const [piece] = (await once(incoming, "data")) as [Buffer];
  passed.write(piece.subarray(0, piece.length / 2), () => {
    passed.destroy();
    incoming.socket.destroy();
  });
}
