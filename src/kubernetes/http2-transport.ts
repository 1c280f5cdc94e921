import { connectHttp2 } from "./connect-http2.ts";
import { createHttp1Transport } from "./http1-transport.ts";
import { createHttp2Connection, type Http2Connection } from "./http2-connection.ts";
import {
  type Answer,
  sendAgain,
  type TlsAccess,
  type Transport,
  type TransportRequest,
} from "./transport.ts";

/**
 * HTTP/2 over TLS: all requests and watches on one connection, or on as many as the server's limit of requests at once
 * makes necessary. One that stalls is noticed by pings, and all that is on it fails as a timeout. HTTP/1.1 with a server
 * that does not offer it.
 */
export function createHttp2Transport(server: URL, tls: TlsAccess, pingMs: number): Transport {
  const connections = new Set<Http2Connection>();
  let connecting: Promise<void> | undefined;
  let http1: Transport | undefined;
  let isRetired = false;

  async function connect(): Promise<void> {
    const connected = await connectHttp2(server, tls);
    if (!connected) {
      http1 = createHttp1Transport(server, { tls });
      return;
    }
    const { origin } = server;
    const onEnd = () => connections.delete(connection);
    const connection = createHttp2Connection({ ...connected, origin, pingMs, onEnd });
    if (!connection.hasRoom) throw new Error(`${origin} takes no requests on a new connection`);
    connections.add(connection);
    // Whoever waits for it begins first.
    if (isRetired) setImmediate(() => connection.close());
  }

  async function send(request: TransportRequest): Promise<Answer> {
    let aborted: Promise<never> | undefined;
    for (;;) {
      request.signal.throwIfAborted();
      if (http1) return http1.exchange(request);
      // Nothing may come between this and its beginning, or more would begin than there is room for.
      for (const connection of connections) if (connection.hasRoom) return connection.exchange(request);
      connecting ??= connect().finally(() => {
        connecting = undefined;
      });
      aborted ??= abortOf(request.signal);
      await Promise.race([connecting, aborted]);
    }
  }

  return {
    exchange: (request) => sendAgain(request, () => send(request)),
    retire() {
      isRetired = true;
      for (const connection of connections) connection.close();
      http1?.retire();
    },
  };
}

function abortOf(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
