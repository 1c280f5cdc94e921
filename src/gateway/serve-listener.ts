import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { SystemError } from "../system-error.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { FilterChain, Listener } from "./gateway-config.ts";
import type { StreamPlan, StreamWorld } from "./http-stream.ts";
import { type Http1Server, serveHttp1 } from "./serve-http1.ts";

/** A filter chain with what its streams run by. */
export interface PlannedChain {
  readonly chain: FilterChain;
  readonly plan: StreamPlan;
}

/** A listener that accepts connections. */
export interface ActiveListener {
  readonly port: number;
  /** What it serves from now on; connections stay. */
  update(listener: Listener, chains: readonly PlannedChain[]): void;
  /** No new connections; those that are there end with their requests. Resolves when none is left. */
  drain(): Promise<void>;
  /** Ends all connections. */
  destroy(): void;
  readonly connectionCount: number;
}

interface ServedChain {
  planned: PlannedChain;
  readonly http1: Http1Server;
}

let lastConnectionId = 0;

/**
 * Listens at a listener's address.
 * @throws SystemError `network`
 */
export async function serveListener(
  listener: Listener,
  chains: readonly PlannedChain[],
  world: StreamWorld,
): Promise<ActiveListener> {
  const served = new Map<string, ServedChain>();
  const connections = new Map<Duplex, DownstreamConnection>();
  let draining = false;
  let whenEmpty: (() => void) | undefined;
  update(chains);
  const server = createServer({ noDelay: true, pauseOnConnect: false }, accept);
  const port = await listen(server, listener);
  return {
    port,
    update: (_listener, next) => update(next),
    drain,
    destroy() {
      for (const socket of connections.keys()) socket.destroy();
    },
    get connectionCount() {
      return connections.size;
    },
  };

  function update(next: readonly PlannedChain[]): void {
    for (const planned of next) {
      const key = chainKey(planned.chain);
      const known = served.get(key);
      if (known) {
        known.planned = planned;
        known.http1.update(planned.plan.http);
      } else served.set(key, serveChain(planned));
    }
    const keys = new Set(next.map(({ chain }) => chainKey(chain)));
    for (const key of served.keys()) if (!keys.has(key)) served.delete(key);
  }

  function serveChain(planned: PlannedChain): ServedChain {
    const entry: { planned: PlannedChain; http1: Http1Server } = { planned, http1: undefined! };
    entry.http1 = serveHttp1({
      world,
      plan: () => entry.planned.plan,
      connectionOf: (socket) => connections.get(socket)!,
      isDraining: () => draining,
    });
    return entry;
  }

  function accept(socket: Socket): void {
    const chain = plainChain();
    if (!chain) {
      socket.destroy();
      return;
    }
    track(socket, socket, undefined);
    chain.http1.accept(socket);
  }

  function plainChain(): ServedChain | undefined {
    for (const chain of served.values()) if (!chain.planned.chain.tls) return chain;
    return undefined;
  }

  function track(stream: Duplex, socket: Socket, tls: DownstreamConnection["tls"]): void {
    const { localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 } = socket;
    connections.set(stream, {
      id: ++lastConnectionId,
      localAddress: plainAddress(localAddress),
      localPort,
      remoteAddress: plainAddress(remoteAddress),
      remotePort,
      tls,
    });
    stream.once("close", () => {
      connections.delete(stream);
      if (connections.size === 0) whenEmpty?.();
    });
  }

  function drain(): Promise<void> {
    draining = true;
    server.close();
    for (const { http1 } of served.values()) http1.closeIdle();
    if (connections.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      whenEmpty = resolve;
    });
  }
}

function chainKey({ name, serverNames, transportProtocol, tls }: FilterChain): string {
  return JSON.stringify([name, serverNames, transportProtocol, tls !== undefined]);
}

function listen(server: Server, { address, port, reusePort, name }: Listener): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(
        new SystemError(
          "network",
          `listener ${name} cannot listen on ${address}:${port}: ${error.message}`,
          error,
        ),
      ),
    );
    server.listen(
      { host: address, port, backlog: 1024, ...(reusePort && canReusePort && { reusePort }) },
      () => {
        const bound = server.address();
        resolve(typeof bound === "object" && bound ? bound.port : port);
      },
    );
  });
}

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
/** Since Node 22.12. */
const canReusePort = major > 22 || (major === 22 && minor >= 12);

/** IPv4 in IPv6's clothes is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
