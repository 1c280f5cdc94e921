import { constants } from "node:crypto";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import { isAcceptedClient } from "./client-certificate.ts";
import { detectProtocol } from "./detect-protocol.ts";
import type { DownstreamConnection, DownstreamTlsState } from "./downstream.ts";
import type { DownstreamTls, FilterChain, Listener } from "./gateway-config.ts";
import { namesOf, type PeerCertificate, readCertificate } from "./peer-certificate.ts";
import type { WasmFilterConfig } from "./plugin-registry.ts";
import { type Http1Server, serveHttp1 } from "./serve-http1.ts";
import { type Http2Server, serveHttp2 } from "./serve-http2.ts";
import { countHandshake } from "./stats/listener-stats.ts";
import type { StreamPlan, StreamWorld } from "./stream-plan.ts";
import { type ChainContext, matchServerName } from "./tls-contexts.ts";

/** A filter chain with what its streams run by. */
export interface PlannedChain {
  readonly chain: FilterChain;
  readonly plan: StreamPlan;
  /** The plugins in it. */
  readonly plugins: readonly WasmFilterConfig[];
  /** Of a chain with TLS; undefined while its certificate is not there. */
  readonly secure: ChainContext | undefined;
}

/** A listener that serves connections. */
export interface ActiveListener {
  readonly port: number;
  accept(socket: Socket): void;
  /** What it serves from now on. Connections stay; those of chains that are gone end with their next response. */
  update(chains: readonly PlannedChain[]): void;
  /** Nothing comes after: connections end with their next response. Resolves when none is left. */
  retire(): Promise<void>;
  /** As `retire`, and connections without a request end now. */
  drain(): Promise<void>;
  /** Ends all connections. */
  destroy(): void;
  readonly connectionCount: number;
  /** The plugins that requests may meet, with those of chains that are gone and have connections still. */
  plugins(): Iterable<WasmFilterConfig>;
}

interface ServedChain {
  planned: PlannedChain;
  /** Gone from the configuration. */
  retired: boolean;
  connections: number;
  readonly http1: Http1Server;
  readonly http2: Http2Server;
}

/** How long a client may take for its hello and what follows, until requests can come. */
const handshakeTimeoutMs = 15_000;

let lastConnectionId = 0;

export interface ServeOptions {
  readonly listener: Pick<Listener, "address" | "port">;
  /** The one that it has. */
  readonly port: number;
  readonly chains: readonly PlannedChain[];
  readonly world: StreamWorld;
  /** More are closed at once. Any number if it is left out. */
  readonly maxConnections?: number | undefined;
  /** Told when the last connection of a chain that is gone has ended. */
  onChainUnused(): void;
}

/** Serves the connections of a listener; whoever listens brings them. */
export function serveListener({
  listener,
  port,
  chains,
  world,
  maxConnections = Number.POSITIVE_INFINITY,
  onChainUnused,
}: ServeOptions): ActiveListener {
  const served = new Map<string, ServedChain>();
  const retired = new Set<ServedChain>();
  const sockets = new Set<Socket>();
  /** Those that have not said anything. */
  const silent = new Set<Socket>();
  const connections = new WeakMap<Duplex, DownstreamConnection>();
  let draining = false;
  const { stats } = world;
  const whenEmpty: (() => void)[] = [];
  // It never listens: sockets come from the server below.
  const tls = createTlsServer({
    ALPNCallback({ servername, protocols }) {
      const wanted = chainFor(servername || "")?.planned.chain.tls?.alpn ?? [];
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
  return {
    port,
    accept,
    update,
    retire,
    drain,
    destroy() {
      for (const socket of sockets) socket.destroy();
    },
    get connectionCount() {
      return sockets.size;
    },
    plugins: () => [...served.values(), ...retired].flatMap(({ planned }) => planned.plugins),
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
      if (known) known.planned = planned;
      else served.set(key, serveChain(planned));
    }
    // For clients that name no server.
    const unnamed = chainFor("")?.planned.secure;
    const checksClients = next.some(({ chain }) => chain.tls && asksForCertificate(chain.tls));
    if (unnamed || checksClients)
      tls.setSecureContext({ ...unnamed?.options, ...(checksClients && { secureOptions: noResumption }) });
    // Which chain asks is only known behind the hello: what it asks is checked then.
    Object.assign(tls, { requestCert: checksClients, rejectUnauthorized: false });
    const keys = new Set(next.map(({ chain }) => chainKey(chain)));
    for (const [key, chain] of served) if (!keys.has(key)) retireChain(key, chain);
  }

  function retireChain(key: string, chain: ServedChain): void {
    served.delete(key);
    chain.retired = true;
    chain.http2.closeIdle();
    if (chain.connections > 0) retired.add(chain);
  }

  function serveChain(planned: PlannedChain): ServedChain {
    const current = { planned, retired: false, connections: 0 };
    const options = {
      world,
      plan: () => current.planned.plan,
      connectionOf: (socket: Duplex) => connections.get(socket)!,
      isDraining: () => draining || current.retired,
    };
    return Object.assign(current, { http1: serveHttp1(options), http2: serveHttp2(options) });
  }

  function accept(socket: Socket): void {
    // As Envoy where a listener has too many: nothing is said.
    if (sockets.size >= maxConnections) {
      stats.listener(listener).counters.downstream_cx_overflow++;
      socket.destroy();
      return;
    }
    sockets.add(socket);
    stats.connections.accepted(socket, stats.listener(listener));
    socket.once("close", () => {
      sockets.delete(socket);
      if (sockets.size === 0) for (const done of whenEmpty.splice(0)) done();
    });
    const plain = [...served.values()].find(({ planned }) => !planned.chain.tls);
    if (plain) {
      begin(plain, socket, undefined);
      serve(socket, plain);
    } else tls.emit("connection", socket);
  }

  function count(chain: ServedChain, socket: Socket): void {
    chain.connections++;
    socket.once("close", () => {
      if (--chain.connections === 0 && retired.delete(chain)) onChainUnused();
    });
  }

  function acceptTls(socket: TLSSocket): void {
    const serverName = typeof socket.servername === "string" ? socket.servername : "";
    const chain = chainFor(serverName);
    if (!chain) {
      stats.listener(listener).counters.no_filter_chain_match++;
      socket.destroy();
      return;
    }
    const tlsState = describeTls(socket, serverName);
    const { chain: at, secure } = chain.planned;
    if (!isAcceptedClient(at.tls!, secure?.validation, tlsState.certificate(), socket)) {
      socket.destroy();
      return;
    }
    begin(chain, socket, tlsState);
    countHandshake(stats.listenerTls(listener), socket);
    if (socket.alpnProtocol === "h2") hand(socket, chain, "http2");
    else if (socket.alpnProtocol) hand(socket, chain, "http1");
    else serve(socket, chain);
  }

  function begin(chain: ServedChain, socket: Socket, tlsState: DownstreamConnection["tls"]): void {
    connections.set(socket, describe(socket, tlsState));
    count(chain, socket);
  }

  function serve(socket: Socket, chain: ServedChain): void {
    const { codec, idleTimeoutMs } = chain.planned.plan.http;
    if (codec !== "auto") {
      hand(socket, chain, codec);
      return;
    }
    silent.add(socket);
    socket.once("close", () => silent.delete(socket));
    detectProtocol(socket, idleTimeoutMs, (protocol) => {
      silent.delete(socket);
      hand(socket, chain, protocol);
    });
  }

  function hand(socket: Socket, chain: ServedChain, protocol: "http1" | "http2"): void {
    const { count: counted, tls: secured } = connections.get(socket)!;
    const { statPrefix } = chain.planned.plan.http;
    const isSecure = secured !== undefined;
    stats.connections.served({ count: counted, socket, protocol, isSecure }, stats.http(statPrefix));
    chain[protocol].accept(socket);
  }

  function chainFor(serverName: string): ServedChain | undefined {
    const secure = [...served.values()].filter(({ planned }) => planned.secure !== undefined);
    return matchServerName(secure, ({ planned }) => planned.chain.serverNames, serverName);
  }

  function retire(): Promise<void> {
    draining = true;
    for (const { http2 } of [...served.values(), ...retired]) http2.closeIdle();
    return sockets.size === 0 ? Promise.resolve() : new Promise<void>((resolve) => whenEmpty.push(resolve));
  }

  function drain(): Promise<void> {
    for (const { http1 } of [...served.values(), ...retired]) http1.closeIdle();
    for (const socket of silent) socket.destroy();
    return retire();
  }
}

/** A session that was checked by one chain must not stand for a check by another. */
const noResumption = constants.SSL_OP_NO_TICKET;

function asksForCertificate({ requireClientCertificate, validation }: DownstreamTls): boolean {
  return requireClientCertificate || validation !== undefined;
}

function describeTls(socket: TLSSocket, serverName: string): DownstreamTlsState {
  let shown: PeerCertificate | undefined;
  const own = socket.getX509Certificate();
  return {
    version: socket.getProtocol() ?? "",
    serverName,
    isMutual: socket.authorized,
    certificate() {
      const certificate = shown ? undefined : socket.getPeerX509Certificate();
      if (certificate) shown = readCertificate(certificate);
      return shown;
    },
    localUris: own?.subjectAltName?.includes("URI:") ? namesOf(readCertificate(own), "URI") : [],
  };
}

function describe(socket: Socket, tls: DownstreamConnection["tls"]): DownstreamConnection {
  const { localAddress = "", localPort = 0, remoteAddress = "", remotePort = 0 } = socket;
  return {
    id: ++lastConnectionId,
    localAddress: plainAddress(localAddress),
    localPort,
    remoteAddress: plainAddress(remoteAddress),
    remotePort,
    directAddress: plainAddress(remoteAddress),
    directPort: remotePort,
    tls,
    count: { streams: 0 },
  };
}

function chainKey({ name, serverNames, transportProtocol, tls }: FilterChain): string {
  return JSON.stringify([name, serverNames, transportProtocol, tls !== undefined]);
}

/** IPv4 in IPv6's clothes is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
