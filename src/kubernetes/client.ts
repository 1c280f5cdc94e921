import { SystemError } from "../system-error.ts";
import { type AccessOptions, type Credentials, loadCredentials } from "./credentials.ts";
import { createDeadline, type Deadline } from "./deadline.ts";
import { createHttp1Transport } from "./http1-transport.ts";
import { createHttp2Transport } from "./http2-transport.ts";
import { type Asked, KubernetesError, readFailure } from "./kubernetes-error.ts";
import { createRateLimit, type RateLimit } from "./rate-limit.ts";
import { readJsonLines, readText } from "./read-answer.ts";
import { readList } from "./read-list.ts";
import type { Access, Answer, Transport } from "./transport.ts";

export { KubernetesError } from "./kubernetes-error.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

export interface KubernetesRequestOptions {
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** `application/json` unless said; a PATCH needs its kind, such as `application/apply-patch+yaml`. */
  readonly contentType?: string;
  /** Takes the items of a list one by one as they arrive; the answer has none then. */
  readonly onItem?: (item: unknown) => void;
  readonly signal?: AbortSignal;
  /** For the whole request and its answer; 30 seconds unless said. */
  readonly timeoutMs?: number;
}

export interface WatchOptions {
  readonly signal: AbortSignal;
  /** The longest time without a byte, in milliseconds. */
  readonly idleMs: number;
  /** Is called once the server has taken the watch, before there is anything to tell. */
  readonly onOpen?: () => void;
}

/** The Kubernetes API over one address, with one identity. */
export interface KubernetesClient {
  /**
   * One request; `path` as `/apis/group/v1/…`. JSON in and out.
   * @throws KubernetesError for an answer that is no success
   * @throws SystemError("network" | "timeout" | "too-large" | "unauthorized") where there is none that can be read
   */
  request(method: Method, path: string, options?: KubernetesRequestOptions): Promise<unknown>;
  /**
   * The lines of a watch, until it ends or the signal aborts.
   * @throws KubernetesError for an answer that is no success
   * @throws SystemError("timeout") if nothing arrives within `idleMs`, or if the connection is dead
   */
  watch(path: string, query: Readonly<Record<string, string>>, options: WatchOptions): AsyncIterable<unknown>;
  /** Own namespace (of the ServiceAccount or the context), if known. */
  readonly namespace: string | undefined;
  /** The API server's address, for messages. */
  readonly server: string;
}

export interface ConnectOptions extends AccessOptions {
  /** Requests a second on average; 80 unless said, as Higress' `--kubernetesApiQPS`. */
  readonly perSecond?: number;
  /** Requests at once; 160 unless said, as Higress' `--kubernetesApiBurst`. */
  readonly burst?: number;
  /**
   * How long a connection of HTTP/2 may be silent until it is asked whether it lives, and how long for an answer, in
   * milliseconds; 5000 unless said.
   */
  readonly pingMs?: number;
}

const defaultTimeoutMs = 30_000;

/**
 * A client of the cluster that a kubeconfig or the pod's ServiceAccount names. Connects with the first request.
 * @throws SystemError("not-found") where no cluster is named
 */
export async function connectKubernetes({
  perSecond = 80,
  burst = 160,
  pingMs = 5000,
  ...access
}: ConnectOptions = {}): Promise<KubernetesClient> {
  return createClient(await loadCredentials(access), createRateLimit(perSecond, burst), pingMs);
}

function createClient(credentials: Credentials, limit: RateLimit, pingMs: number): KubernetesClient {
  const transportOf = createTransports(credentials.server, pingMs);
  const base = new URL(credentials.server);

  /** Sends, and resolves with a successful answer. */
  async function send(asked: Asked, signal: AbortSignal, options: SendOptions): Promise<Answer> {
    const { query, body, contentType = "application/json" } = options;
    const url = new URL(base.pathname.replace(/\/$/, "") + asked.path, base);
    url.search = new URLSearchParams(query).toString();
    const access = await credentials.apply();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      accept: "application/json",
      "user-agent": "wasmline",
      ...(text !== undefined && {
        "content-type": contentType,
        "content-length": String(Buffer.byteLength(text)),
      }),
      ...access.headers,
    };
    const answer = await transportOf(access).exchange({
      method: asked.method,
      url,
      headers,
      body: text,
      signal,
    });
    const { status, retryAfter } = answer;
    if (status >= 200 && status < 300) return answer;
    throw readFailure(asked, status, await readText(answer.body), retryAfter);
  }

  return {
    namespace: credentials.namespace,
    server: credentials.server,
    async request(method, path, { timeoutMs = defaultTimeoutMs, signal, onItem, ...options } = {}) {
      await limit(signal);
      const deadline = createDeadline(timeoutMs, signal);
      try {
        const { body } = await send({ method, path }, deadline.signal, options);
        if (onItem) return await readList(body, onItem);
        const text = await readText(body);
        return text === "" ? undefined : JSON.parse(text);
      } catch (error) {
        throw failureOf(error, `${method} ${credentials.server}${path}`, signal, deadline);
      } finally {
        deadline.end();
      }
    },
    async *watch(path, query, { signal, idleMs, onOpen }) {
      if (
        !(await limit(signal).then(
          () => true,
          () => false,
        ))
      )
        return;
      const deadline = createDeadline(Math.min(idleMs, defaultTimeoutMs), signal);
      try {
        const asked = { method: "GET", path, watch: true };
        const { body } = await send(asked, deadline.signal, { query: { ...query, watch: "true" } });
        deadline.extend(idleMs);
        onOpen?.();
        yield* readJsonLines(extending(deadline, body));
      } catch (error) {
        if (signal.aborted) return;
        throw failureOf(error, `watch ${credentials.server}${path}`, signal, deadline);
      } finally {
        // Whoever stops reading ends the request with it.
        deadline.end();
      }
    },
  };
}

type SendOptions = Pick<KubernetesRequestOptions, "query" | "body" | "contentType">;

async function* extending(
  deadline: Deadline,
  body: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of body) {
    deadline.extend();
    yield chunk;
  }
}

/** The newest identity's connections; those of older ones end when what is on them does. */
function createTransports(server: string, pingMs: number): (access: Access) => Transport {
  const url = new URL(server);
  let newest: { readonly identity: string; readonly transport: Transport } | undefined;
  return (access) => {
    if (access.agent) return createHttp1Transport(url, access);
    const identity = identityOf(access);
    if (newest?.identity !== identity) {
      newest?.transport.retire();
      const transport =
        url.protocol === "http:"
          ? createHttp1Transport(url, access)
          : createHttp2Transport(url, access.tls, pingMs);
      newest = { identity, transport };
    }
    return newest.transport;
  };
}

function identityOf({ tls: { ca, cert, key, rejectUnauthorized, servername } }: Access): string {
  return JSON.stringify([String(ca), String(cert), String(key), rejectUnauthorized, servername]);
}

function failureOf(error: unknown, doing: string, signal: AbortSignal | undefined, deadline: Deadline) {
  if (signal?.aborted) return signal.reason;
  if (deadline.isOver) return new SystemError("timeout", `${doing}: no answer in time`);
  return error instanceof KubernetesError ? error : SystemError.from(error, "network", doing);
}
