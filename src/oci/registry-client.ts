import { LRUCache } from "lru-cache";
import { SystemError } from "../system-error.ts";
import { authorize } from "./auth.ts";
import { type Credentials, type FindCredentials, parseDockerConfig } from "./credentials.ts";
import { checkDigest, digestOf, sha256Hex } from "./digest.ts";
import { type HttpAnswer, type HttpOptions, sendRequest } from "./http.ts";
import { isLoopback } from "./loopback.ts";
import {
  chooseImage,
  type Descriptor,
  type ImageIndex,
  type ImageManifest,
  mediaTypes,
  parseManifest,
} from "./manifest.ts";
import { apiHost, formatReference, isDigest, manifestName, type Reference } from "./reference.ts";
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

/** What a reference stands for in its registry, now. */
export interface ResolvedImage {
  readonly manifest: ImageManifest;
  /** Of the image manifest, `sha256:…`. */
  readonly digest: string;
  /** Of the index by which it was found, if there was one. */
  readonly indexDigest?: string;
}

/** Pulls from registries over the OCI distribution API; every digest is checked. */
export interface RegistryClient {
  /**
   * Fetches the manifest of an image, through an index where there is one.
   * @throws SystemError `unauthorized`, `not-found`, `registry`, `network`, `timeout`, `digest-mismatch`, `too-large`
   */
  resolve(reference: Reference, options?: PullOptions): Promise<ResolvedImage>;
  /**
   * Asks what a reference stands for now: the digest of its manifest, or of the index above it. Costs no pull where
   * registries count those. Undefined where the registry does not say, or says no: `resolve` then finds out why. Throws as
   * `resolve` does.
   */
  findDigest(reference: Reference, options?: PullOptions): Promise<string | undefined>;
  /** Fetches a layer. Throws as `resolve` does. */
  fetchBlob(reference: Reference, blob: Descriptor, options?: PullOptions): Promise<Uint8Array>;
}

const accepted = [
  mediaTypes.ociManifest,
  mediaTypes.dockerManifest,
  mediaTypes.ociIndex,
  mediaTypes.dockerList,
].join(", ");

/** Answers by which a registry says how it is, and not what it has. */
const isUnwell = (status: number) => status === 429 || (status >= 500 && status !== 501);

export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  const { maxManifestBytes = 4 << 20, maxBlobBytes = 256 << 20 } = options;
  const context = {
    options,
    authorizations: new LRUCache<string, string>({ max: 1000 }),
    credentials: options.credentials ?? createUserCredentials(),
  };
  const fetchManifest = async (reference: Reference, pull: PullOptions) => {
    const doing = `fetching the manifest of ${formatReference(reference)}`;
    const path = `manifests/${manifestName(reference)}`;
    const answer = await ask(context, {
      reference,
      path,
      doing,
      accept: accepted,
      maxBytes: maxManifestBytes,
      ...pull,
    });
    return readManifest(answer, reference, doing);
  };
  return {
    async resolve(reference, pull = {}) {
      const found = await fetchManifest(reference, pull);
      if (found.content.kind === "manifest") return { manifest: found.content, digest: found.digest };
      const child = chooseFrom(found.content, reference);
      const { content, digest } = await fetchManifest({ ...reference, digest: child.digest }, pull);
      if (content.kind === "manifest") return { manifest: content, digest, indexDigest: found.digest };
      throw new SystemError(
        "registry",
        `${formatReference(reference)} is an index of indexes; expected one of images`,
      );
    },
    async findDigest(reference, pull = {}) {
      const doing = `looking at the manifest of ${formatReference(reference)}`;
      const path = `manifests/${manifestName(reference)}`;
      const question = { reference, path, doing, accept: accepted, maxBytes: 0, ...pull };
      const answer = await ask(context, {
        ...question,
        method: "HEAD",
        isFine: (status) => !isUnwell(status),
      });
      const digest = answer.status === 200 ? answer.header("docker-content-digest")[0] : undefined;
      return digest !== undefined && isDigest(digest) ? digest : undefined;
    },
    async fetchBlob(reference, blob, pull = {}) {
      const doing = `fetching layer ${blob.digest} of ${formatReference(reference)}`;
      if (blob.size > maxBlobBytes) {
        throw new SystemError(
          "too-large",
          `${doing}: it has ${blob.size} bytes; at most ${maxBlobBytes} are allowed`,
        );
      }
      const path = `blobs/${blob.digest}`;
      const question = { reference, path, doing, accept: "*/*", maxBytes: blob.size, ...pull };
      const answer = await ask(context, question).catch((error) => {
        throw isTooLarge(error) ? notAsAnnounced(doing, blob, error) : error;
      });
      checkDigest(answer.body, blob.digest, doing);
      return answer.body;
    },
  };
}

interface Context {
  readonly options: RegistryClientOptions;
  /** By registry, repository and credentials: what was accepted last as `Authorization`. */
  readonly authorizations: LRUCache<string, string>;
  readonly credentials: FindCredentials;
}

interface Question extends PullOptions {
  readonly reference: Reference;
  readonly path: string;
  readonly doing: string;
  readonly accept: string;
  readonly maxBytes: number;
  readonly method?: "GET" | "HEAD";
  /** Which statuses are no failure; 200 unless given. */
  readonly isFine?: (status: number) => boolean;
}

/** Asks, and answers the challenge if there is one; at most two questions. */
async function ask(context: Context, question: Question): Promise<HttpAnswer> {
  const { reference, doing, signal } = question;
  const { authorizations, options } = context;
  const credentials = await findCredentials(context, question);
  const key = JSON.stringify([reference.registry, reference.repository, fingerprint(credentials)]);
  const first = await send(options, question, authorizations.get(key));
  // What was believed once and is not any more must not be tried for as long as it was given for.
  if (isDenied(first.status)) authorizations.delete(key);
  if (first.status !== 401 || first.url.origin !== baseUrl(options, reference).origin) {
    return checkStatus(first, question, credentials);
  }
  const granted = await authorize({ ...httpOptions(options), answer: first, credentials, doing, signal });
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
  const { reference, path, accept, maxBytes, doing, signal, method } = question;
  const url = new URL(`/v2/${reference.repository}/${path}`, baseUrl(options, reference));
  const headers = { accept, ...(authorization !== undefined && { authorization }) };
  return sendRequest({ ...httpOptions(options), url, method, headers, maxBytes, doing, signal });
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
  { credentials }: Context,
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
  throw statusFailure(answer, { reference, doing, hasCredentials: credentials !== undefined });
}

function isTooLarge(error: unknown): boolean {
  return error instanceof SystemError && error.code === "too-large";
}

/** That more bytes come than there are is the registry's fault, not the image's. */
function notAsAnnounced(doing: string, { size }: Descriptor, cause: unknown): SystemError {
  const message = `${doing}: more than ${size} bytes came; expected ${size}, as the manifest says`;
  return new SystemError("digest-mismatch", message, cause);
}

function readManifest(answer: HttpAnswer, reference: Reference, doing: string) {
  const announced = answer.header("docker-content-digest")[0];
  const expected = reference.digest ?? (announced && isDigest(announced) ? announced : undefined);
  if (expected !== undefined) checkDigest(answer.body, expected, doing);
  const mediaType = (answer.header("content-type")[0] ?? "").split(";")[0]?.trim() ?? "";
  return { content: parseManifest(answer.body, mediaType, doing), digest: digestOf(answer.body) };
}

function chooseFrom(index: ImageIndex, reference: Reference): Descriptor {
  const image = chooseImage(index);
  if (image) return image;
  const found = `${index.manifests.length} entries, none of them an image`;
  throw new SystemError(
    "registry",
    `${formatReference(reference)} is an index with ${found}; expected a plugin image`,
  );
}
