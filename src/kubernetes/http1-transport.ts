import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import {
  type Access,
  type Answer,
  sendAgain,
  type Transport,
  type TransportRequest,
  Unanswered,
} from "./transport.ts";

/** A quiet connection is asked by TCP after so many milliseconds whether its other end is there; ten seconds later it is not. */
const keepAliveMs = 10_000;
const kept = { keepAlive: true, maxFreeSockets: 8 };

/**
 * HTTP/1.1: a connection for each request that is on its way, a watch too. Whether one stalls is known to TCP alone, so
 * not where something in between answers for the server.
 */
export function createHttp1Transport(
  { protocol }: URL,
  { tls, agent }: Pick<Access, "tls" | "agent">,
): Transport {
  const [send, Agent] = protocol === "http:" ? [httpRequest, HttpAgent] : [httpsRequest, HttpsAgent];
  const own = agent ? undefined : new Agent({ ...kept, ...tls });
  const once = ({ url, body, ...options }: TransportRequest) =>
    new Promise<Answer>((resolve, reject) => {
      const request = send(url, { ...tls, ...options, agent: agent ?? own }, (answer) =>
        resolve({
          status: answer.statusCode ?? 0,
          retryAfter: answer.headers["retry-after"],
          body: answer,
        }),
      );
      request.once("socket", (socket) => socket.setKeepAlive(true, keepAliveMs));
      request.once("error", (error: NodeJS.ErrnoException) => {
        // A connection that was kept had been closed meanwhile.
        const closed = request.reusedSocket && error.code === "ECONNRESET";
        reject(closed ? new Unanswered(false, error) : error);
      });
      request.end(body);
    });
  return {
    exchange: (request) => sendAgain(request, () => once(request)),
    retire() {
      if (!own) return;
      own.maxFreeSockets = 0;
      for (const socket of Object.values(own.freeSockets).flat()) socket?.destroy();
    },
  };
}
