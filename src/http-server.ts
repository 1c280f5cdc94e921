import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { errorText, SystemError } from "./system-error.ts";

/** What a page answers. */
export interface Page {
  readonly status?: number;
  readonly type?: string;
  readonly body: string;
  /** A page that goes on: called once the head is out, with what sends an event, until whoever asked has gone. */
  readonly events?: (send: (data: string) => void, signal: AbortSignal) => void;
}

/** Pages by path. Each gets the query of its request. */
export type Pages = Readonly<Record<string, (query: URLSearchParams) => Page | Promise<Page>>>;

/** A page of JSON. */
export function jsonPage(value: unknown, status = 200): Page {
  return { status, type: "application/json", body: `${JSON.stringify(value, null, 2)}\n` };
}

/** A page of server-sent events. */
export function eventsPage(events: NonNullable<Page["events"]>): Page {
  return { type: "text/event-stream", body: "", events };
}

/** `/ready`: 200 and no body, or 503 and the reason. */
export function readyPage(ready: boolean, reason: string): Page {
  return ready ? { body: "" } : { status: 503, body: `${reason}\n` };
}

export interface HttpServerOptions {
  readonly bind: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly pages: Pages;
  readonly signal: AbortSignal;
}

/**
 * Serves a role's status and debug pages: GET and HEAD only, no state changes. Resolves with the port once it listens.
 * @throws SystemError("network") where the address is taken or not this machine's
 */
export function servePages({ bind, port, pages, signal }: HttpServerOptions): Promise<number> {
  const server = createServer((request, response) => void answer(pages, request, response));
  signal.addEventListener("abort", () => {
    server.close();
    server.closeAllConnections();
  });
  return new Promise((resolve, reject) => {
    server.once("error", (error) =>
      reject(new SystemError("network", `cannot listen on ${bind}:${port}: ${error.message}`, error)),
    );
    server.listen(port, bind, () => resolve((server.address() as AddressInfo).port));
  });
}

async function answer(pages: Pages, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { status = 200, type = "text/plain; charset=utf-8", body, events } = await find(pages, request);
  if (events && request.method !== "HEAD") return sendEvents(response, type, events);
  const allow = status === 405 ? { allow: "GET, HEAD" } : {};
  response.writeHead(status, { "content-type": type, "content-length": Buffer.byteLength(body), ...allow });
  response.end(request.method === "HEAD" ? undefined : body);
}

/** A comment goes out this often, so that whoever listens knows that there is nothing to say. */
const heartbeatMs = 10_000;
/** Who has so much unread is not listening. */
const maxUnreadBytes = 64 * 1024 * 1024;

function sendEvents(response: ServerResponse, type: string, events: NonNullable<Page["events"]>): void {
  const gone = new AbortController();
  const write = (text: string) => {
    if (gone.signal.aborted) return;
    response.write(text);
    if (response.writableLength > maxUnreadBytes) response.destroy();
  };
  const heartbeat = setInterval(() => write(":\n\n"), heartbeatMs);
  response.once("close", () => {
    clearInterval(heartbeat);
    gone.abort();
  });
  response.writeHead(200, { "content-type": type, "cache-control": "no-store" });
  response.flushHeaders();
  events((data) => write(`data: ${data}\n\n`), gone.signal);
}

async function find(pages: Pages, { method, url = "/" }: IncomingMessage): Promise<Page> {
  const base = "http://localhost";
  // Anybody can send a target that is no URL, such as "//".
  if (!URL.canParse(url, base)) return { status: 400, body: "the request's target is not a path\n" };
  const { pathname: path, searchParams: query } = new URL(url, base);
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  if (!page)
    return { status: 404, body: `no page ${path}; there is ${Object.keys(pages).sort().join(", ")}\n` };
  if (method !== "GET" && method !== "HEAD") return { status: 405, body: "only GET\n" };
  try {
    return await page(query);
  } catch (error) {
    return { status: 500, body: `${errorText(error)}\n` };
  }
}
