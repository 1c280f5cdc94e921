import { setTimeout as pause } from "node:timers/promises";
import { request } from "undici";
import { SystemError } from "../system-error.ts";
import { type Connections, createConnections, RefusedAddress } from "./connections.ts";
import { parseRetryAfter } from "./retry-after.ts";
import { transportFailure } from "./transport-error.ts";

/** How patient a client is, and how it connects. */
export interface HttpOptions {
  /** How long a server may be silent, before its answer and within it; milliseconds, 15 s unless given. */
  readonly timeoutMs?: number;
  /** How often a request is sent at most, 5 unless given. */
  readonly maxAttempts?: number;
  /** The rest before the second attempt, in milliseconds, 500 unless given; grows by half each time, ± 50 % at random. */
  readonly backoffMs?: number;
  /** By Node's certificate authorities and with no exceptions unless given. */
  readonly connections?: Connections;
  /** Hears of the bytes of each answer as they come, those of failed attempts too. */
  readonly onReceived?: (bytes: number) => void;
}

export interface HttpRequest extends HttpOptions {
  readonly url: URL;
  /** The registry by whose word this URL is asked. Like redirects it may lead no nearer to this machine than that is. */
  readonly ledBy?: URL;
  readonly method?: "GET" | "HEAD" | "POST";
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** A longer answer is a SystemError `too-large`; that of an error status is cut off. */
  readonly maxBytes: number;
  /** What is being done, for messages: `fetching the manifest of …`. */
  readonly doing: string;
  readonly signal?: AbortSignal;
}

export interface HttpAnswer {
  readonly status: number;
  /** Where the answer came from, after redirects. */
  readonly url: URL;
  readonly body: Uint8Array;
  header(name: string): readonly string[];
}

const maxRedirects = 5;
const maxBackoffMs = 60_000;
const maxErrorBytes = 64 << 10;
const plainConnections = createConnections();

/**
 * Sends a request until it is answered by something else than a passing failure: transport errors and 5xx other than
 * 501, 505 and 511 are tried again, and 429 when it says in how long. An answer that asks for more than a minute is
 * final. Follows redirects, and drops `Authorization` when one leads to another origin.
 * @throws SystemError `network`, `timeout`, `too-large`, `cancelled`
 */
export async function sendRequest(message: HttpRequest): Promise<HttpAnswer> {
  const { maxAttempts = 5, backoffMs = 500, signal } = message;
  for (let attempt = 1; ; attempt++) {
    const result = await tryOnce(message);
    const isLast = attempt >= maxAttempts || !result.isPassing;
    if (isLast && result.answer) return result.answer;
    if (isLast) throw result.failure;
    const backoff = Math.min(backoffMs * 1.5 ** (attempt - 1), maxBackoffMs) * (0.5 + Math.random());
    const rest = (result.answer && retryAfterOf(result.answer)) ?? backoff;
    await pause(rest, undefined, { signal }).catch((error) => {
      throw transportFailure(error, message.doing, message.url, signal).failure;
    });
  }
}

type Attempt =
  | { readonly answer: HttpAnswer; readonly failure?: undefined; readonly isPassing: boolean }
  | { readonly answer?: undefined; readonly failure: SystemError; readonly isPassing: boolean };

async function tryOnce(message: HttpRequest): Promise<Attempt> {
  const route = { url: message.url };
  try {
    const answer = await followRedirects(message, route);
    return { answer, isPassing: isPassing(answer) };
  } catch (error) {
    return transportFailure(error, message.doing, route.url, message.signal);
  }
}

/** The milliseconds that an answer asks to wait; undefined where it does not say. */
export function retryAfterOf({ header }: HttpAnswer): number | undefined {
  return parseRetryAfter(header("retry-after")[0]);
}

function isPassing(answer: HttpAnswer): boolean {
  const rest = retryAfterOf(answer);
  if (rest !== undefined && rest > maxBackoffMs) return false;
  if (answer.status === 429) return rest !== undefined;
  return answer.status >= 500 && ![501, 505, 511].includes(answer.status);
}

/** Leaves in `route` where it has got to. */
async function followRedirects(message: HttpRequest, route: { url: URL }): Promise<HttpAnswer> {
  let { headers } = message;
  for (let hops = 0; hops <= maxRedirects; hops++) {
    const { url } = route;
    const answer = await sendOnce(message, url, headers);
    const location = answer.header("location")[0];
    if (![301, 302, 303, 307, 308].includes(answer.status) || location === undefined) return answer;
    const next = redirectTarget(message, url, location);
    if (next.origin !== url.origin) headers = withoutAuthorization(headers);
    route.url = next;
  }
  throw new SystemError(
    "network",
    `${message.doing}: more than ${maxRedirects} redirects from ${message.url.host}`,
  );
}

function redirectTarget({ doing }: HttpRequest, from: URL, location: string): URL {
  const to = URL.canParse(location, from.href) ? new URL(location, from) : undefined;
  if (to?.protocol === "https:" || (to?.protocol === "http:" && from.protocol === "http:")) return to;
  const found = to === undefined ? "something that is no URL" : `a ${to.protocol}// URL`;
  throw new SystemError("network", `${doing}: ${from.host} redirects to ${found}; expected https://`);
}

function withoutAuthorization(headers: HttpRequest["headers"]): HttpRequest["headers"] {
  return Object.fromEntries(
    Object.entries(headers ?? {}).filter(([name]) => name.toLowerCase() !== "authorization"),
  );
}

async function sendOnce(
  message: HttpRequest,
  url: URL,
  headers: HttpRequest["headers"],
): Promise<HttpAnswer> {
  const { method = "GET", timeoutMs = 15_000, signal } = message;
  const { connections = plainConnections, ledBy = message.url } = message;
  const dispatcher = await connections.dispatcherTo(url, ledBy).catch((error) => {
    throw refusal(error, message, url);
  });
  const answer = await request(url, {
    dispatcher,
    method,
    headers: { "user-agent": "wasmline", ...headers },
    body: message.body,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    signal,
    // undici would connect anew after each HEAD, and that is what every edit of a plugin that is always pulled asks.
    reset: false,
  }).catch((error) => {
    throw refusal(error, message, url);
  });
  const isError = answer.statusCode >= 300;
  const body = isError ? await readStart(answer.body, maxErrorBytes) : await readWhole(answer.body, message);
  const header = (name: string) => [answer.headers[name] ?? []].flat();
  return { status: answer.statusCode, url, body, header };
}

/** What the user is told when a registry leads where it must not. Every other error stays what it is. */
function refusal(error: unknown, { ledBy, url, doing }: HttpRequest, to: URL): unknown {
  if (!(error instanceof RefusedAddress)) return error;
  const from = (ledBy ?? url).host;
  return new SystemError("network", `${doing}: ${from} leads to ${to.host}, and ${error.message}`, error);
}

async function readWhole(
  body: AsyncIterable<Uint8Array>,
  { maxBytes, doing, onReceived }: HttpRequest,
): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    onReceived?.(chunk.length);
    if (size > maxBytes)
      throw new SystemError("too-large", `${doing}: the answer has more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

async function readStart(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    size += chunk.length;
    if (size > maxBytes) break;
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}
