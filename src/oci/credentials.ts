import { SystemError } from "../system-error.ts";
import { normalizeRegistry } from "./reference.ts";

/** What a registry knows its user by. Secret: never in messages or logs. */
export interface Credentials {
  readonly username: string;
  readonly password: string;
  /** A refresh token for the registry's token server, in place of a password. */
  readonly identityToken?: string;
  /** A bearer token that is sent as it is. */
  readonly registryToken?: string;
}

/** Finds the credentials for a repository of a registry; undefined is anonymous. */
export type FindCredentials = (
  registry: string,
  repository: string,
) => Credentials | undefined | Promise<Credentials | undefined>;

interface Entry {
  readonly registry: string;
  readonly path: string;
  readonly credentials: Credentials;
}

/**
 * Reads a Docker configuration (`{"auths": {host: {auth}}}`), as image pull secrets and `docker login` hold it. Keys may
 * have a scheme, `/v1/` and a repository prefix; the longest that fits wins. `source` names it in messages. Programs that
 * it names are not run: a secret comes from elsewhere.
 * @throws SystemError `unauthorized`, without a word of the content
 */
export function parseDockerConfig(
  text: string,
  source: string,
): (registry: string, repository: string) => Credentials | undefined {
  const auths = readAuths(text, source);
  const entries = Object.entries(auths).map(([key, value]) => readEntry(key, value, source));
  const sorted = entries.filter((entry) => entry !== undefined).sort((a, b) => b.path.length - a.path.length);
  return (registry, repository) =>
    sorted.find((entry) => entry.registry === registry && isPrefix(entry.path, repository))?.credentials;
}

/** The object that a Docker configuration is. Throws as `parseDockerConfig` does. */
export function readDockerConfig(text: string, source: string): Readonly<Record<string, unknown>> {
  const config = parseJson(text);
  if (!isObject(config)) throw malformed(source, `a JSON object with "auths"`);
  return config;
}

function readAuths(text: string, source: string): Record<string, unknown> {
  const { auths = {} } = readDockerConfig(text, source);
  if (!isObject(auths)) throw malformed(source, `"auths" to be an object of registries`);
  return auths;
}

function readEntry(key: string, value: unknown, source: string): Entry | undefined {
  if (!isObject(value)) throw malformed(source, `"auths" to hold an object for ${JSON.stringify(key)}`);
  const text = (name: string) => (typeof value[name] === "string" ? value[name] : "");
  const auth = Buffer.from(text("auth"), "base64").toString();
  const colon = auth.indexOf(":");
  if (auth !== "" && colon < 0) {
    throw malformed(source, `"auth" of ${JSON.stringify(key)} to be user:password in base64`);
  }
  const credentials = {
    username: colon < 0 ? text("username") : auth.slice(0, colon),
    // Docker pads the decoded form with NUL bytes in old versions.
    password: colon < 0 ? text("password") : auth.slice(colon + 1).replace(/\0+$/, ""),
    identityToken: text("identitytoken") || undefined,
    registryToken: text("registrytoken") || undefined,
  };
  const isEmpty = credentials.username === "" && !credentials.identityToken && !credentials.registryToken;
  return isEmpty ? undefined : { ...splitKey(key), credentials };
}

/** A key of `auths` or `credHelpers`: a host, maybe with a scheme, the version of an API and a repository prefix. */
export function splitKey(key: string): { registry: string; path: string } {
  const [host = "", ...path] = key.replace(/^https?:\/\//, "").split("/");
  return {
    registry: normalizeRegistry(host),
    path: path
      .join("/")
      .replace(/^v[12](?:\/|$)/, "")
      .replace(/\/+$/, ""),
  };
}

function isPrefix(path: string, repository: string): boolean {
  return path === "" || repository === path || repository.startsWith(`${path}/`);
}

/** The parser's own message would quote the secret. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(source: string, expected: string): SystemError {
  return new SystemError("unauthorized", `${source} is no Docker configuration: expected ${expected}`);
}
