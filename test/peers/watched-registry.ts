import { once } from "node:events";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";

/** A registry behind something that notes what it is asked for. */
export interface WatchedRegistry {
  /** `127.0.0.1:port`. */
  readonly host: string;
  /** What was asked for, as `METHOD kind/reference`, and how often. */
  readonly asked: ReadonlyMap<string, number>;
  stop(): Promise<void>;
}

/** Stands before a registry without TLS on this machine and passes on whatever comes, once it is `released`. */
export async function watchRegistry(target: string, released?: Promise<void>): Promise<WatchedRegistry> {
  const asked = new Map<string, number>();
  const server = createServer(async (incoming, outgoing) => {
    const { method = "GET", url = "/", headers } = incoming;
    const what = `${method} ${url.split("/").slice(-2).join("/")}`;
    asked.set(what, (asked.get(what) ?? 0) + 1);
    if (released) await released;
    const passed = request(`http://${target}${url}`, { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on("error", () => outgoing.destroy());
    outgoing.on("close", () => passed.destroy());
    incoming.pipe(passed);
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
