import { SystemError } from "../system-error.ts";
import { type Challenge, parseChallenges } from "./challenge.ts";
import type { Credentials } from "./credentials.ts";
import { type HttpAnswer, type HttpOptions, sendRequest } from "./http.ts";
import { isLoopback } from "./loopback.ts";

/** What to send as `Authorization`, and for how long it may be used again. */
export interface Authorization {
  readonly value: string;
  readonly ttlMs: number;
}

export interface AuthorizeRequest extends HttpOptions {
  /** The answer with status 401. */
  readonly answer: HttpAnswer;
  readonly credentials?: Credentials;
  /** What to ask a token for; what the challenge says unless given. */
  readonly scopes?: readonly string[];
  readonly doing: string;
  readonly signal?: AbortSignal;
}

const maxTokenBytes = 1 << 20;
/** The token specification's default for `expires_in`. */
const defaultExpiry = 60;

/**
 * Answers the challenge of a 401: Basic, or a bearer token from the token server that the registry names. Undefined when
 * there is nothing to answer with: no credentials for Basic, no challenge that is understood.
 * @throws SystemError `unauthorized`, `registry` and those of `sendRequest`
 */
export async function authorize(request: AuthorizeRequest): Promise<Authorization | undefined> {
  const { answer, credentials } = request;
  if (credentials?.registryToken)
    return { value: `Bearer ${credentials.registryToken}`, ttlMs: defaultExpiry * 1000 };
  const challenges = parseChallenges(answer.header("www-authenticate"));
  const bearer = challenges.find(({ scheme }) => scheme === "bearer");
  if (bearer) return fetchToken(bearer, request);
  const isBasic = challenges.some(({ scheme }) => scheme === "basic");
  if (!isBasic || !credentials?.username) return undefined;
  return { value: basic(credentials), ttlMs: Number.MAX_SAFE_INTEGER };
}

async function fetchToken({ parameters }: Challenge, request: AuthorizeRequest): Promise<Authorization> {
  const { answer, credentials, scopes = [parameters.scope ?? ""], ...options } = request;
  const realm = checkRealm(parameters.realm ?? "", answer.url, options.doing);
  const query = new URLSearchParams();
  if (parameters.service) query.set("service", parameters.service);
  for (const scope of scopes) if (scope !== "") query.append("scope", scope);
  const doing = `${options.doing}: asking ${realm.host} for a token`;
  const message = credentials?.identityToken
    ? refreshRequest(realm, query, credentials.identityToken)
    : tokenRequest(realm, query, credentials);
  const ledBy = answer.url;
  const reply = await sendRequest({ ...options, ...message, ledBy, doing, maxBytes: maxTokenBytes });
  return readToken(reply, doing, credentials !== undefined);
}

function tokenRequest(realm: URL, query: URLSearchParams, credentials?: Credentials) {
  const url = new URL(realm);
  for (const [name, value] of query) url.searchParams.append(name, value);
  return { url, headers: credentials?.username ? { authorization: basic(credentials) } : undefined };
}

function refreshRequest(url: URL, query: URLSearchParams, identityToken: string) {
  const scope = query.getAll("scope").join(" ");
  if (scope !== "") query.set("scope", scope);
  query.set("grant_type", "refresh_token");
  query.set("refresh_token", identityToken);
  query.set("client_id", "wasmline");
  const headers = { "content-type": "application/x-www-form-urlencoded" };
  return { url, method: "POST" as const, headers, body: query.toString() };
}

/** Credentials go to the realm, so one that is reached without TLS is only believed from a registry that is, too. */
function checkRealm(realm: string, registry: URL, doing: string): URL {
  const url = URL.canParse(realm) ? new URL(realm) : undefined;
  if (url?.protocol === "https:") return url;
  if (url?.protocol === "http:" && (registry.protocol === "http:" || isLoopback(url.hostname))) return url;
  throw new SystemError(
    "registry",
    `${doing}: ${registry.host} names the token server ${JSON.stringify(realm)}; expected an https:// URL`,
  );
}

function readToken(reply: HttpAnswer, doing: string, hasCredentials: boolean): Authorization {
  if (reply.status !== 200) {
    const isDenied = [400, 401, 403].includes(reply.status);
    const hint = hasCredentials
      ? "the credentials were refused; check them"
      : "add an imagePullSecret or log in";
    throw new SystemError(
      isDenied ? "unauthorized" : "registry",
      `${doing}: status ${reply.status}${isDenied ? `; ${hint}` : ""}`,
    );
  }
  const fields = parseFields(reply.body);
  const value = fields.token || fields.access_token;
  if (typeof value !== "string") throw new SystemError("registry", `${doing}: the answer holds no token`);
  const expiry = typeof fields.expires_in === "number" ? fields.expires_in : defaultExpiry;
  // Used again for less than it lives, so that it does not expire on its way.
  return { value: `Bearer ${value}`, ttlMs: Math.max(1, Math.floor(Math.min(expiry, 86_400) * 900)) };
}

function parseFields(body: Uint8Array): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(body).toString());
    return typeof value === "object" && value !== null ? { ...value } : {};
  } catch {
    return {};
  }
}

function basic({ username, password }: Credentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
