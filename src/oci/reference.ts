import { SystemError } from "../system-error.ts";

/** Names an image in a registry. At least one of `tag` and `digest` is there; the digest wins. */
export interface Reference {
  /** Host and port as credentials are keyed, `index.docker.io` for Docker Hub. */
  readonly registry: string;
  readonly repository: string;
  readonly tag?: string;
  /** `sha256:` and 64 hexadecimal digits. */
  readonly digest?: string;
}

const dockerHub = "index.docker.io";
const host =
  /^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?)*|\[[0-9a-fA-F:.]+\])(?::(\d+))?$/;
const pathComponent = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$/;
const tagPattern = /^\w[\w.-]{0,127}$/;
const digestPattern = /^sha256:[0-9a-f]{64}$/;

/**
 * Parses `[oci://][host[:port]/]repository[:tag][@sha256:…]` by the rules of the distribution specification. Without a
 * host it is Docker Hub's, without tag and digest it is `latest`.
 * @throws SystemError `reference-invalid`
 */
export function parseReference(text: string): Reference {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(text)?.[1];
  if (scheme !== undefined && scheme !== "oci")
    throw invalid(text, `the scheme is "${scheme}"`, `"oci" or none`);
  const bare = scheme === undefined ? text : text.slice("oci://".length);
  const [named = "", digest, ...rest] = bare.split("@");
  if (rest.length > 0) throw invalid(text, `it has ${rest.length + 1} "@"`, "at most one, before the digest");
  const { name, tag } = splitTag(named);
  const { registry, repository } = splitRegistry(text, name);
  checkRepository(text, repository);
  if (tag !== undefined && !tagPattern.test(tag)) {
    throw invalid(text, `the tag is "${tag}"`, "1 to 128 letters, digits, _ . -, not beginning with . or -");
  }
  if (digest !== undefined && !isDigest(digest)) {
    throw invalid(text, `the digest is "${digest}"`, `"sha256:" and 64 lower case hexadecimal digits`);
  }
  if (digest !== undefined) return { registry, repository, ...(tag !== undefined && { tag }), digest };
  return { registry, repository, tag: tag ?? "latest" };
}

/** `host[:port]/repository[:tag][@digest]`, without a scheme. */
export function formatReference({ registry, repository, tag, digest }: Reference): string {
  return `${registry}/${repository}${tag === undefined ? "" : `:${tag}`}${digest === undefined ? "" : `@${digest}`}`;
}

/** What the distribution API is asked for: the digest, or else the tag. */
export function manifestName({ tag, digest }: Reference): string {
  return digest ?? tag ?? "latest";
}

/** True for `sha256:` and 64 lower case hexadecimal digits. */
export function isDigest(text: string): boolean {
  return digestPattern.test(text);
}

/** True for a repository name of the distribution specification, such as `library/nginx`. */
export function isRepository(text: string): boolean {
  return text.length <= 255 && text.split("/").every((part) => pathComponent.test(part));
}

/** True for a tag of the distribution specification. */
export function isTag(text: string): boolean {
  return tagPattern.test(text);
}

/** The host that serves the distribution API of a registry. */
export function apiHost(registry: string): string {
  return registry === dockerHub ? "registry-1.docker.io" : registry;
}

/** Docker Hub goes by several names; credentials and references are keyed by one. */
export function normalizeRegistry(registry: string): string {
  return ["docker.io", "registry-1.docker.io", "registry.hub.docker.com"].includes(registry)
    ? dockerHub
    : registry;
}

function splitTag(named: string): { name: string; tag?: string } {
  const colon = named.lastIndexOf(":");
  if (colon <= named.lastIndexOf("/")) return { name: named };
  return { name: named.slice(0, colon), tag: named.slice(colon + 1) };
}

function splitRegistry(text: string, name: string): { registry: string; repository: string } {
  const slash = name.indexOf("/");
  const first = slash < 0 ? "" : name.slice(0, slash);
  const isHost = first === "localhost" || /[.:[A-Z]/.test(first);
  const registry = isHost ? normalizeRegistry(first) : dockerHub;
  const path = isHost ? name.slice(slash + 1) : name;
  const port = host.exec(registry);
  if (!port || Number(port[1] ?? 1) > 65535 || Number(port[1] ?? 1) < 1) {
    throw invalid(text, `the registry is "${first}"`, "a host name or address with an optional port");
  }
  const isOfficial = registry === dockerHub && path !== "" && !path.includes("/");
  return { registry, repository: isOfficial ? `library/${path}` : path };
}

function checkRepository(text: string, repository: string): void {
  if (isRepository(repository)) return;
  const found = repository === "" ? "it has no repository" : `the repository is "${repository}"`;
  throw invalid(
    text,
    found,
    "parts of lower case letters and digits, separated within by . _ - and from each other by /, 255 characters at most",
  );
}

function invalid(text: string, found: string, expected: string): SystemError {
  return new SystemError(
    "reference-invalid",
    `image reference "${text}" is invalid: ${found}; expected ${expected}`,
  );
}
