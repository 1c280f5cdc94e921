import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** A request as an upstream got it, to the byte. */
export interface NotedRequest {
  readonly upstream: string;
  readonly line: string;
  /** In their order and case. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

/** What an upstream answers. */
export interface UpstreamAnswer {
  readonly status?: number;
  readonly headers?: readonly (readonly [string, string])[];
  /** Written one after the other. */
  readonly body?: readonly string[];
  readonly trailers?: readonly (readonly [string, string])[];
  /** Closes the connection: before the response, or after what there is of the body. */
  readonly cut?: "before" | "within";
  /** Never answers. */
  readonly hang?: boolean;
}

/** Answers as it is told, and notes what it was asked. */
export interface NotingUpstream {
  readonly port: number;
  /** What the next requests are answered. */
  answer: UpstreamAnswer;
  /** What came since the last time. */
  take(): NotedRequest[];
  close(): void;
}

export async function startNotingUpstream(name: string): Promise<NotingUpstream> {
  let noted: NotedRequest[] = [];
  const upstream: { answer: UpstreamAnswer } = { answer: {} };
  const server = createServer({ joinDuplicateHeaders: false }, async (request, response) => {
    try {
      noted.push(await note(name, request));
      send(response, upstream.answer);
    } catch {
      // The gateway went away within its request.
      response.destroy();
    }
  });
  server.keepAliveTimeout = 0;
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(upstream, {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = noted;
      noted = [];
      return taken;
    },
    close() {
      server.close();
      server.closeAllConnections();
    },
  });
}

async function note(upstream: string, request: IncomingMessage): Promise<NotedRequest> {
  const parts: Buffer[] = [];
  for await (const part of request) parts.push(part as Buffer);
  return {
    upstream,
    line: `${request.method} ${request.url} HTTP/${request.httpVersion}`,
    headers: linesOf(request.rawHeaders),
    body: Buffer.concat(parts).toString("latin1"),
    trailers: linesOf(request.rawTrailers),
  };
}

function send(response: ServerResponse, answer: UpstreamAnswer): void {
  const { status = 200, headers = [], body = ["upstream"], trailers = [], cut, hang } = answer;
  if (hang) return;
  if (cut === "before") {
    response.socket?.destroy();
    return;
  }
  response.sendDate = false;
  const hasLength = headers.some(([name]) => name.toLowerCase() === "content-length");
  const isHead = response.req.method === "HEAD";
  const isChunked = !hasLength && (body.length !== 1 || trailers.length > 0 || cut !== undefined);
  const length: [string, string][] =
    hasLength || isChunked || status === 204 || status === 304
      ? []
      : [["content-length", `${body[0]!.length}`]];
  const trailer: [string, string][] =
    trailers.length > 0 && !isHead ? [["trailer", trailers.map(([name]) => name).join(", ")]] : [];
  response.writeHead(status, [...headers, ...length, ...trailer].flat());
  if (isHead) {
    response.end();
    return;
  }
  if (trailers.length > 0) response.addTrailers([...trailers] as [string, string][]);
  for (const part of body) response.write(part, "latin1");
  if (cut === "within") setImmediate(() => response.socket?.destroy());
  else response.end();
}

/** Names and values that follow each other, as `name: value`. */
export function linesOf(raw: readonly string[]): string[] {
  const lines: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) lines.push(`${raw[i]}: ${raw[i + 1]}`);
  return lines;
}
