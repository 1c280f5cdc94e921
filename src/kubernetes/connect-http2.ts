import { once } from "node:events";
import { type ClientHttp2Session, connect } from "node:http2";
import { isIP } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { SystemError } from "../system-error.ts";
import { connectionLost, type TlsAccess } from "./transport.ts";

/** For TCP, TLS and the server's first frame together. */
const connectMs = 10_000;
/**
 * How much of one answer may be on its way or unread, and how much of all of them, in bytes. With Node's own 64 KiB a
 * page of a list would wait for the network many times.
 */
const streamWindow = 1024 * 1024;
const connectionWindow = 8 * 1024 * 1024;

/** A session of HTTP/2 with a server whose settings are known, and what it runs over. */
export interface Connected {
  readonly session: ClientHttp2Session;
  readonly socket: TLSSocket;
}

/**
 * Connects by TLS. Resolves with undefined where the server does not offer HTTP/2.
 * @throws SystemError("timeout") where the server does not answer within ten seconds
 */
export async function connectHttp2(server: URL, tls: TlsAccess): Promise<Connected | undefined> {
  const signal = AbortSignal.timeout(connectMs);
  const socket = openSocket(server, tls);
  try {
    await once(socket, "secureConnect", { signal });
    if (socket.alpnProtocol === "h2") return { socket, session: await openSession(server, socket, signal) };
    socket.destroy();
    return undefined;
  } catch (error) {
    // What it says of its own end is of no use any more.
    socket.on("error", () => {}).destroy();
    if (!signal.aborted) throw error;
    throw new SystemError("timeout", `${server.origin}: no connection within ${connectMs / 1000} seconds`);
  }
}

function openSocket({ hostname, port }: URL, tls: TlsAccess): TLSSocket {
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return connectTls({
    ...{ host, port: Number(port || 443), servername: isIP(host) ? "" : host },
    ...tls,
    ALPNProtocols: ["h2", "http/1.1"],
  });
}

/** How many requests a server takes at once is in its settings, with which it begins. */
async function openSession(server: URL, socket: TLSSocket, signal: AbortSignal): Promise<ClientHttp2Session> {
  const session = connect(server.origin, {
    createConnection: () => socket,
    settings: { enablePush: false, initialWindowSize: streamWindow },
  });
  // Whoever waits for it hears of an error all the same.
  session.on("error", () => {});
  const closed = new Promise((_, reject) => {
    session.once("close", () => reject(connectionLost(server.origin)));
  });
  closed.catch(() => {});
  await Promise.race([once(session, "remoteSettings", { signal }), closed]);
  session.setLocalWindowSize(connectionWindow);
  return session;
}
