import { LRUCache } from "lru-cache";
import { authorize } from "./auth.ts";
import { type Credentials, type FindCredentials, parseDockerConfig } from "./credentials.ts";
import { sha256Hex } from "./digest.ts";
import { type HttpAnswer, type HttpMethod, type HttpOptions, sendRequest } from "./http.ts";
import { isLoopback } from "./loopback.ts";
import { apiHost, type Reference } from "./reference.ts";
import { isDenied, statusFailure } from "./registry-error.ts";
import { createUserCredentials } from "./user-credentials.ts";

export interface RegistryClientOptions extends HttpOptions {
  /** Hosts with port, as references write them, that speak plain HTTP. Loopback does, unless `connections` knows about its TLS. */
  readonly insecureRegistries?: readonly string[];
  /** 4 MiB unless given. */
  readonly maxManifestBytes?: number;
  /** 256 MiB unless given. */
  readonly maxBlobBytes?: number;
  /** Where credentials come from when a pull brings none; the user's Docker configuration unless given. */
  readonly credentials?: FindCredentials;
}

export interface PullOptions {
  /** A Docker configuration, as a Secret of type kubernetes.io/dockerconfigjson holds it. Takes the place of the user's. */
  readonly pullSecret?: string;
  readonly signal?: AbortSignal;
}

/** What is kept between questions to registries. */
export interface RegistrySession {
  readonly options: RegistryClientOptions;
  /** By registry, repository and credentials: what was accepted last as `Authorization`. */
  readonly authorizations: LRUCache<string, string>;
  readonly credentials: FindCredentials;
}

/** A question about a repository. */
export interface Question extends PullOptions {
  readonly reference: Reference;
  /** Below the repository, or a place that the registry has named. */
  readonly path: string | URL;
  readonly doing: string;
  readonly accept: string;
  readonly maxBytes: number;
  readonly method?: HttpMethod;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
  /** Hears of the bytes of the body as they leave. */
  readonly onSent?: (bytes: number) => void;
  /** What a token is asked for, as `repository:NAME:pull,push`; what the registry's challenge says unless given. */
  readonly scopes?: readonly string[];
  /** Take the place of the client's. */
  readonly patience?: Pick<HttpOptions, "maxAttempts" | "timeoutMs">;
  /** Which statuses are no failure; 200 unless given. */
  readonly isFine?: (status: number) => boolean;
}

export function createRegistrySession(options: RegistryClientOptions): RegistrySession {
  return {
    options,
    authorizations: new LRUCache<string, string>({ max: 1000 }),
    credentials: options.credentials ?? createUserCredentials(),
  };
}

/**
 * Asks, and answers the challenge if there is one; at most two questions.
 * @throws SystemError `unauthorized`, `not-found`, `registry`, `network`, `timeout`, `too-large`, `cancelled`
 */
export async function askRegistry(session: RegistrySession, question: Question): Promise<HttpAnswer> {
  const { reference, doing, signal, scopes } = question;
  const { authorizations, options } = session;
  const credentials = await findCredentials(session, question);
  const { registry, repository } = reference;
  const key = JSON.stringify([registry, repository, fingerprint(credentials), scopes]);
  const first = await send(options, question, authorizations.get(key));
  // What was believed once and is not any more must not be tried for as long as it was given for.
  if (isDenied(first.status)) authorizations.delete(key);
  if (first.status !== 401 || first.url.origin !== baseUrl(options, reference).origin) {
    return checkStatus(first, question, credentials);
  }
  const granted = await authorize({
    ...httpOptions(options),
    answer: first,
    credentials,
    scopes,
    doing,
    signal,
  });
  if (!granted) return checkStatus(first, question, credentials);
  const second = await send(options, question, granted.value);
  if (!isDenied(second.status)) authorizations.set(key, granted.value, { ttl: granted.ttlMs });
  return checkStatus(second, question, credentials);
}

function send(
  options: RegistryClientOptions,
  question: Question,
  authorization?: string,
): Promise<HttpAnswer> {
  const { reference, path, accept, maxBytes, doing, signal, method, body, onSent, patience } = question;
  const base = baseUrl(options, reference);
  const url = typeof path === "string" ? new URL(`/v2/${reference.repository}/${path}`, base) : path;
  // What the registry says about itself may name any place; only the registry gets what proves who asks.
  const isOwn = url.origin === base.origin;
  const headers = {
    accept,
    ...question.headers,
    ...(isOwn && authorization !== undefined && { authorization }),
  };
  const message = { url, ledBy: base, method, headers, body, onSent, maxBytes, doing, signal };
  return sendRequest({ ...httpOptions(options), ...patience, ...message });
}

function baseUrl(options: RegistryClientOptions, { registry }: Reference): URL {
  const { insecureRegistries = [], connections } = options;
  const isLocal = isLoopback(registry) && !connections?.hasTlsSettings(registry);
  const isPlain = isLocal || insecureRegistries.includes(registry);
  return new URL(`${isPlain ? "http" : "https"}://${apiHost(registry)}`);
}

function httpOptions(options: RegistryClientOptions): HttpOptions {
  const { timeoutMs, maxAttempts, backoffMs, connections, onReceived } = options;
  return { timeoutMs, maxAttempts, backoffMs, connections, onReceived };
}

async function findCredentials(
  { credentials }: RegistrySession,
  { pullSecret, reference: { registry, repository } }: Question,
): Promise<Credentials | undefined> {
  const find =
    pullSecret === undefined ? credentials : parseDockerConfig(pullSecret, "the image pull secret");
  return find(registry, repository);
}

/** Tells credentials apart without keeping them in keys. */
function fingerprint(credentials: Credentials | undefined): string {
  return credentials === undefined ? "" : sha256Hex(Buffer.from(JSON.stringify(credentials)));
}

function checkStatus(
  answer: HttpAnswer,
  question: Question,
  credentials: Credentials | undefined,
): HttpAnswer {
  const { reference, doing, isFine = (status: number) => status === 200 } = question;
  if (isFine(answer.status)) return answer;
  const action = question.scopes ? "push" : "pull";
  throw statusFailure(answer, { reference, doing, action, hasCredentials: credentials !== undefined });
}
