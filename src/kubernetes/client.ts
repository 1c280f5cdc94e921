import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest, type RequestOptions } from "node:https";
import { SystemError } from "../system-error.ts";
import { type AccessOptions, type Credentials, loadCredentials } from "./credentials.ts";
import { createDeadline, type Deadline } from "./deadline.ts";
import { type Asked, KubernetesError, readFailure } from "./kubernetes-error.ts";
import { createRateLimit, type RateLimit } from "./rate-limit.ts";
import { readJsonLines, readText } from "./read-answer.ts";
import { readList } from "./read-list.ts";

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
   * @throws SystemError("timeout") if nothing arrives within `idleMs`
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
}

const defaultTimeoutMs = 30_000;

/**
 * A client of the cluster that a kubeconfig or the pod's ServiceAccount names. Connects with the first request.
 * @throws SystemError("not-found") where no cluster is named
 */
export async function connectKubernetes({
  perSecond = 80,
  burst = 160,
  ...access
}: ConnectOptions = {}): Promise<KubernetesClient> {
  return createClient(await loadCredentials(access), createRateLimit(perSecond, burst));
}

function createClient(credentials: Credentials, limit: RateLimit): KubernetesClient {
  const agents = createAgents(credentials.server);
  const base = new URL(credentials.server);

  /** Sends, and resolves with the head of a successful answer. */
  async function send(asked: Asked, options: KubernetesRequestOptions): Promise<IncomingMessage> {
    const { query, body, contentType = "application/json", signal } = options;
    const url = new URL(base.pathname.replace(/\/$/, "") + asked.path, base);
    url.search = new URLSearchParams(query).toString();
    const applied = await credentials.apply();
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers = {
      accept: "application/json",
      "user-agent": "wasmline",
      ...(text !== undefined && {
        "content-type": contentType,
        "content-length": String(Buffer.byteLength(text)),
      }),
      ...applied.headers,
    };
    const answer = await exchange(
      url,
      { ...applied, method: asked.method, headers, agent: applied.agent ?? agents(applied), signal },
      text,
    );
    const status = answer.statusCode ?? 0;
    if (status >= 200 && status < 300) return answer;
    throw readFailure(asked, status, await readText(answer), answer.headers["retry-after"]);
  }

  return {
    namespace: credentials.namespace,
    server: credentials.server,
    async request(method, path, { timeoutMs = defaultTimeoutMs, signal, onItem, ...options } = {}) {
      await limit(signal);
      const deadline = createDeadline(timeoutMs, signal);
      try {
        const answer = await send({ method, path }, { ...options, signal: deadline.signal });
        if (onItem) return await readList(answer, onItem);
        const text = await readText(answer);
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
        const answer = await send(
          { method: "GET", path, watch: true },
          { query: { ...query, watch: "true" }, signal: deadline.signal },
        );
        deadline.extend(idleMs);
        onOpen?.();
        answer.on("data", () => deadline.extend());
        yield* readJsonLines(answer);
      } catch (error) {
        if (signal.aborted) return;
        throw failureOf(error, `watch ${credentials.server}${path}`, signal, deadline);
      } finally {
        // Whoever stops reading ends the connection with it.
        deadline.end();
      }
    },
  };
}

/** Sends once more where a connection that was kept had been closed meanwhile: then nobody has read the request. */
async function exchange(url: URL, options: RequestOptions, body?: string): Promise<IncomingMessage> {
  const send = url.protocol === "http:" ? httpRequest : httpsRequest;
  const once = () =>
    new Promise<IncomingMessage>((resolve, reject) => {
      const request = send(url, options, resolve);
      request.once("error", (error: NodeJS.ErrnoException) => {
        const closed = request.reusedSocket && error.code === "ECONNRESET";
        reject(closed ? new ClosedMeanwhile(error) : error);
      });
      request.end(body);
    });
  try {
    return await once();
  } catch (error) {
    if (!(error instanceof ClosedMeanwhile)) throw error;
    if (options.method !== "GET") throw error.cause;
    return await once();
  }
}

class ClosedMeanwhile extends Error {
  constructor(cause: Error) {
    super(cause.message, { cause });
  }
}

/** Agents that keep connections: one for each set of certificates, of which only the newest is kept. */
function createAgents(server: string): (options: RequestOptions) => HttpAgent {
  const kept = { keepAlive: true, keepAliveMsecs: 30_000, maxFreeSockets: 8 };
  const plain = server.startsWith("http:");
  let newest: { readonly key: string; readonly agent: HttpAgent } | undefined;
  return ({ ca, cert, key, rejectUnauthorized, servername }) => {
    const identity = JSON.stringify([String(ca), String(cert), String(key), rejectUnauthorized, servername]);
    if (newest?.key !== identity) {
      const agent = plain
        ? new HttpAgent(kept)
        : new HttpsAgent({ ...kept, ca, cert, key, rejectUnauthorized, servername });
      newest = { key: identity, agent };
    }
    return newest.agent;
  };
}

function failureOf(error: unknown, doing: string, signal: AbortSignal | undefined, deadline: Deadline) {
  if (signal?.aborted) return signal.reason;
  if (deadline.isOver) return new SystemError("timeout", `${doing}: no answer in time`);
  return error instanceof KubernetesError ? error : SystemError.from(error, "network", doing);
}
