import type { Agent, OutgoingHttpHeaders } from "node:http";
import type { TlsOptions } from "node:tls";

/** What there is to trust and to show over TLS. */
export type TlsAccess = Pick<TlsOptions, "ca" | "cert" | "key" | "rejectUnauthorized"> & {
  readonly servername?: string;
};

/** With what a request is sent at this moment. */
export interface Access {
  readonly headers: OutgoingHttpHeaders;
  readonly tls: TlsAccess;
  /** Of the proxy that the kubeconfig names. */
  readonly agent?: Agent | undefined;
}

/** A request as a connection takes it. */
export interface TransportRequest {
  readonly method: string;
  readonly url: URL;
  readonly headers: OutgoingHttpHeaders;
  readonly body: string | undefined;
  /** Ends the request and its answer; the connection goes on, unless a TimeoutError raises doubts about it. */
  readonly signal: AbortSignal;
}

/** The head of an answer, and the rest as it comes. */
export interface Answer {
  readonly status: number;
  readonly retryAfter: string | undefined;
  /** Throws where the connection ends before the answer does. */
  readonly body: AsyncIterable<Buffer>;
}

/** Carries requests to one server with one identity, over connections that it keeps. */
export interface Transport {
  /**
   * Sends, and resolves with the head of the answer. A request that the server cannot have read is sent again, and a GET
   * that was not answered once more.
   */
  exchange(request: TransportRequest): Promise<Answer>;
  /** Keeps no connection any longer than what was begun on it lasts. */
  retire(): void;
}

/** The connection ended before there was an answer. Its cause is the error for people. */
export class Unanswered extends Error {
  /** Whether the server cannot have read the request. */
  readonly unread: boolean;

  constructor(unread: boolean, cause: unknown) {
    super("no answer", { cause });
    this.unread = unread;
  }
}

/** The server, or a network, ended a connection that something was on its way over. */
export function connectionLost(origin: string): Error {
  return new Error(`${origin} ended the connection (ECONNRESET)`);
}

/** Of a request that the server has not read: a server that ends many connections may leave it unread more than once. */
const maxUnread = 5;

/** Sends again what was not answered, where that cannot do the same thing twice. */
export async function sendAgain(
  { method, signal }: TransportRequest,
  send: () => Promise<Answer>,
): Promise<Answer> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await send();
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      const most = error.unread ? maxUnread : method === "GET" ? 2 : 1;
      if (attempt >= most || signal.aborted) throw error.cause;
    }
  }
}
