import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { Page } from "../../http-server.ts";
import { errorText, SystemError } from "../../system-error.ts";

/** A page of the admin interface, or something that it does. */
export interface AdminCommand {
  readonly path: string;
  readonly help: string;
  /** It changes something: POST only. */
  readonly mutates?: boolean;
  readonly params?: readonly AdminParam[];
  /** Only programs on this machine may ask. */
  readonly isLocal?: boolean;
  /** The signal aborts when nobody waits for the answer any more. */
  readonly answer: (query: URLSearchParams, method: string, gone: AbortSignal) => Page | Promise<Page>;
}

export interface AdminParam {
  readonly name: string;
  readonly help: string;
}

export interface AdminServerOptions {
  readonly bind: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly commands: ReadonlyMap<string, AdminCommand>;
  /** For a path that is none. */
  readonly notFound: () => Page;
  readonly signal: AbortSignal;
}

/** What a form may hold, in bytes. */
const maxFormBytes = 64 * 1024;
const maxConnections = 256;

/**
 * Serves Envoy's admin paths. Resolves with the port once it listens.
 * @throws SystemError("network") where the address is taken or not this machine's
 */
export function serveCommands({ bind, port, signal, ...rest }: AdminServerOptions): Promise<number> {
  const server = createServer((request, response) => void answer(rest, request, response));
  server.maxConnections = maxConnections;
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

type Served = Pick<AdminServerOptions, "commands" | "notFound">;

async function answer(served: Served, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController();
  response.once("close", () => gone.abort());
  const page = await find(served, request, gone.signal);
  const { status = 200, type = "text/plain; charset=UTF-8", body } = page;
  response.writeHead(status, {
    "content-type": type,
    "cache-control": "no-cache, max-age=0",
    "x-content-type-options": "nosniff",
    "content-length": Buffer.byteLength(body),
  });
  response.end(request.method === "HEAD" ? undefined : body);
}

async function find(
  { commands, notFound }: Served,
  request: IncomingMessage,
  gone: AbortSignal,
): Promise<Page> {
  const { url = "/", method = "GET" } = request;
  const base = "http://localhost";
  // Anybody can send a target that is no URL, such as "//".
  if (!URL.canParse(url, base)) return { status: 400, body: "the request's target is not a path\n" };
  const { pathname, searchParams } = new URL(url, base);
  const command = commands.get(pathname);
  if (!command) return { ...notFound(), status: 404 };
  if (command.mutates && method !== "POST")
    return { status: 405, body: `Method ${method} not allowed, POST required.` };
  if (command.mutates && isForeign(request))
    return { status: 403, body: "a page of another site may not do that\n" };
  if (command.isLocal && !isLoopbackAddress(request.socket.remoteAddress))
    return { status: 403, body: "only programs on the gateway's machine may do that\n" };
  try {
    const form = isForm(request) ? await readForm(request) : [];
    for (const [name, value] of form) searchParams.append(name, value);
    return await command.answer(searchParams, method, gone);
  } catch (error) {
    return { status: 500, body: `${errorText(error)}\n` };
  }
}

/** Unlike Envoy: a web page somewhere cannot end or drain the gateway through the browser of somebody who may. */
function isForeign({ headers: { origin, host } }: IncomingMessage): boolean {
  if (origin === undefined) return false;
  return !URL.canParse(origin) || new URL(origin).host !== host;
}

function isLoopbackAddress(address = ""): boolean {
  return address === "::1" || /^(::ffff:)?127\./.test(address);
}

function isForm({ method, headers }: IncomingMessage): boolean {
  return method === "POST" && headers["content-type"] === "application/x-www-form-urlencoded";
}

async function readForm(request: IncomingMessage): Promise<URLSearchParams> {
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of request) {
    size += (part as Buffer).length;
    if (size > maxFormBytes) throw new Error(`a form has ${maxFormBytes} bytes at most`);
    parts.push(part as Buffer);
  }
  return new URLSearchParams(Buffer.concat(parts).toString());
}
