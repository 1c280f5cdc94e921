import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { SystemError } from "../system-error.ts";
import type { DownstreamConnection } from "./downstream.ts";
import type { FilterChain, Listener } from "./gateway-config.ts";
import type { StreamPlan, StreamWorld } from "./http-stream.ts";
import { type Http1Server, serveHttp1 } from "./serve-http1.ts";
import { type Http2Server, serveHttp2 } from "./serve-http2.ts";
import { countHandshake } from "./stats/listener-stats.ts";
import { type ChainContext, matchServerName } from "./tls-contexts.ts";

/** A filter chain with what its streams run by. */
export interface PlannedChain {
  readonly chain: FilterChain;
  readonly plan: StreamPlan;
  /** Of a chain with TLS; undefined while its certificate is not there. */
  readonly secure: ChainContext | undefined;
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
  readonly http2: Http2Server;
}

/** How long a client may take for its hello and what follows, until requests can come. */
const handshakeTimeoutMs = 15_000;

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
  const sockets = new Set<Socket>();
  const connections = new WeakMap<Duplex, DownstreamConnection>();
  let draining = false;
  let whenEmpty: (() => void) | undefined;
  const { stats } = world;
  // It never listens: sockets come from the server below.
  const tls = createTlsServer({
    ALPNCallback({ servername, protocols }) {
      const wanted = chainFor(servername)?.planned.chain.tls?.alpn ?? [];
      return wanted.find((name) => protocols.includes(name)) ?? protocols.find((name) => name === "http/1.1");
    },
    handshakeTimeout: handshakeTimeoutMs,
    SNICallback(name, done) {
      const context = chainFor(name)?.planned.secure?.context;
      done(context ? null : new Error(`no filter chain for ${name}`), context);
    },
  });
  update(chains);
  tls.on("secureConnection", acceptTls);
  tls.on("tlsClientError", (_error, socket) => {
    stats.listenerTls(listener).counters["ssl.connection_error"]++;
    socket.destroy();
  });
  const server = createServer({ noDelay: true, pauseOnConnect: false }, accept);
  const port = await listen(server, listener);
  return {
    port,
    update: (_listener, next) => update(next),
    drain,
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
    get connectionCount() {
      return sockets.size;
    },
  };

  function update(next: readonly PlannedChain[]): void {
    for (const planned of next) {
      const key = chainKey(planned.chain);
      const known = served.get(key);
      if (
        planned.secure &&
        planned.secure !== known?.planned.secure &&
        planned.chain.tls?.certificateNames.length
      )
        stats.listenerTls(listener).counters["server_ssl_socket_factory.ssl_context_update_by_sds"]++;
      if (known) {
        known.planned = planned;
        known.http1.update(planned.plan.http);
      } else served.set(key, serveChain(planned));
    }
    // For clients that name no server.
    const unnamed = chainFor("")?.planned.secure;
    if (unnamed) tls.setSecureContext(unnamed.options);
    const keys = new Set(next.map(({ chain }) => chainKey(chain)));
    for (const key of served.keys()) if (!keys.has(key)) served.delete(key);
  }

  function serveChain(planned: PlannedChain): ServedChain {
    const current = { planned };
    const options = {
      world,
      plan: () => current.planned.plan,
      connectionOf: (socket: Duplex) => connections.get(socket)!,
      isDraining: () => draining,
    };
    return Object.assign(current, { http1: serveHttp1(options), http2: serveHttp2(options) });
  }

  function accept(socket: Socket): void {
    sockets.add(socket);
    stats.connections.accepted(socket, stats.listener(listener));
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) whenEmpty?.();
    });
    const plain = [...served.values()].find(({ planned }) => !planned.chain.tls);
    if (plain) {
      begin(socket, undefined, plain, "http1");
      plain.http1.accept(socket);
    } else tls.emit("connection", socket);
  }

  function acceptTls(socket: TLSSocket): void {
    const serverName = typeof socket.servername === "string" ? socket.servername : "";
    const chain = chainFor(serverName);
    if (!chain) {
      stats.listener(listener).counters.no_filter_chain_match++;
      socket.destroy();
      return;
    }
    const version = socket.getProtocol() ?? "";
    const protocol = socket.alpnProtocol === "h2" ? "http2" : "http1";
    begin(socket, { version, serverName, isMutual: socket.authorized }, chain, protocol);
    countHandshake(stats.listenerTls(listener), socket);
    chain[protocol].accept(socket);
  }

  function begin(
    socket: Socket,
    tlsState: DownstreamConnection["tls"],
    { planned }: ServedChain,
    protocol: "http1" | "http2",
  ): void {
    const connection = describe(socket, tlsState);
    connections.set(socket, connection);
    const { count } = connection;
    const isSecure = tlsState !== undefined;
    stats.connections.served({ count, socket, protocol, isSecure }, stats.http(planned.plan.http.statPrefix));
  }

  function chainFor(serverName: string): ServedChain | undefined {
    const secure = [...served.values()].filter(({ planned }) => planned.secure !== undefined);
    return matchServerName(secure, ({ planned }) => planned.chain.serverNames, serverName);
  }

  function drain(): Promise<void> {
    draining = true;
    server.close();
    for (const { http1, http2 } of served.values()) {
      http1.closeIdle();
      http2.closeIdle();
    }
    if (sockets.size === 0) return Promise.resolve();
    return new Promise((resolve) => {
      whenEmpty = resolve;
    });
  }
}

function describe(socket: Socket, tls: DownstreamConnection["tls"]): DownstreamConnection {
  const { localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 } = socket;
  return {
    id: ++lastConnectionId,
    localAddress: plainAddress(localAddress),
    localPort,
    remoteAddress: plainAddress(remoteAddress),
    remotePort,
    tls,
    count: { streams: 0 },
  };
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
