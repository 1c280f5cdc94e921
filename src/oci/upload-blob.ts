import { setTimeout as pause } from "node:timers/promises";
import { SystemError } from "../system-error.ts";
import { backoff, type HttpAnswer, isPassing } from "./http.ts";
import type { Descriptor } from "./manifest.ts";
import { formatReference, type Reference } from "./reference.ts";
import { statusFailure } from "./registry-error.ts";
import { askRegistry, type Question, type RegistrySession } from "./registry-session.ts";
import { abortFailure } from "./transport-error.ts";
import { findUploadPlace, receivedBytes, withDigest } from "./upload-place.ts";

/** How a blob came to be in a repository. */
export type UploadOutcome = "exists" | "mounted" | "uploaded";

/** A blob that is to be in a repository. */
export interface BlobUpload {
  readonly session: RegistrySession;
  readonly reference: Reference;
  readonly blob: Descriptor;
  readonly read: () => Promise<Uint8Array>;
  readonly scopes: readonly string[];
  /** A repository of the same registry that may have it. */
  readonly mountFrom?: string;
  /** How much is sent in one request; a larger blob goes in chunks. */
  readonly chunkBytes: number;
  /** Hears of bytes as they leave; of negative ones when they have to leave again. */
  readonly onSent?: (bytes: number) => void;
  readonly signal?: AbortSignal;
}

/** A failure after which the same may work. */
class PassingFailure extends Error {
  readonly failure: SystemError;

  constructor(failure: SystemError) {
    super(failure.message, { cause: failure });
    this.name = "PassingFailure";
    this.failure = failure;
  }
}

const maxAnswerBytes = 1 << 20;
/** A registry may copy all of a blob to its store before it answers. */
const storeTimeoutMs = 120_000;

/**
 * Puts a blob into a repository unless it is there: by a mount from another repository, in one request, or in chunks. A
 * failure that may pass is tried again; chunks go on where the registry says that it is.
 * @throws SystemError as `askRegistry`, and `registry` for answers that are none
 */
export async function uploadBlob(upload: BlobUpload): Promise<UploadOutcome> {
  if (await isThere(upload)) return "exists";
  for (let attempt = 1; ; attempt++) {
    const counted = countSent(upload);
    try {
      return await uploadOnce(counted.upload);
    } catch (error) {
      await restAfter(upload, error, attempt);
      // The answer to what was stored may have been lost.
      if (await isThere(upload)) return "uploaded";
      counted.takeBack();
    }
  }
}

/** Asks whether a blob is in the repository. */
async function isThere(upload: BlobUpload): Promise<boolean> {
  const path = `blobs/${upload.blob.digest}`;
  const isFine = (status: number) => status === 200 || status === 404;
  return (await ask(upload, { method: "HEAD", path, isFine })).status === 200;
}

async function uploadOnce(upload: BlobUpload): Promise<UploadOutcome> {
  const { blob, read, mountFrom, chunkBytes } = upload;
  const query = mountFrom ? `?${new URLSearchParams({ mount: blob.digest, from: mountFrom })}` : "";
  const begun = await askOnce(upload, { method: "POST", path: `blobs/uploads/${query}` }, [201, 202]);
  if (begun.status === 201) return "mounted";
  const bytes = await read();
  let place = findUploadPlace(begun, doingOf(upload));
  let last = bytes;
  const least = Number(begun.header("oci-chunk-min-length")[0] ?? 0) || 0;
  const chunk = Math.max(chunkBytes, least);
  if (bytes.length > chunk) {
    place = await sendChunks(upload, place, bytes, chunk);
    last = new Uint8Array();
  }
  await put(upload, withDigest(place, blob.digest), last);
  return "uploaded";
}

async function put(upload: BlobUpload, path: URL, body: Uint8Array): Promise<void> {
  const headers = { "content-type": "application/octet-stream" };
  const onSent = body.length === 0 ? undefined : upload.onSent;
  await askOnce(upload, { method: "PUT", path, headers, body, onSent }, [201]);
}

async function sendChunks(upload: BlobUpload, begun: URL, bytes: Uint8Array, size: number): Promise<URL> {
  let state = { place: begun, at: 0 };
  for (let failures = 0; state.at < bytes.length; ) {
    const { place, at } = state;
    const counted = countSent(upload);
    try {
      state = await sendChunk(counted.upload, place, bytes, at, Math.min(at + size, bytes.length));
    } catch (error) {
      counted.takeBack();
      await restAfter(upload, error, ++failures);
      const found = await askPlace(upload, place);
      // A registry that has forgotten the upload is told everything anew.
      if (found === undefined) throw error;
      upload.onSent?.(found.at - at);
      state = found;
    }
  }
  return state.place;
}

async function sendChunk(upload: BlobUpload, path: URL, bytes: Uint8Array, start: number, end: number) {
  const headers = { "content-type": "application/octet-stream", "content-range": `${start}-${end - 1}` };
  const body = bytes.subarray(start, end);
  const answer = await askOnce(
    upload,
    { method: "PATCH", path, headers, body, onSent: upload.onSent },
    [202],
  );
  return { place: findUploadPlace(answer, doingOf(upload)), at: receivedBytes(answer) ?? end };
}

/** Where an upload goes on; undefined where the registry does not know it any more. */
async function askPlace(upload: BlobUpload, path: URL) {
  const answer = await ask(upload, { method: "GET", path, isFine: () => true });
  const at = receivedBytes(answer);
  if (answer.status !== 204 || at === undefined) return undefined;
  return { place: findUploadPlace(answer, doingOf(upload)), at };
}

type Step = Pick<Question, "path" | "method" | "headers" | "body" | "onSent" | "isFine" | "patience">;

function ask(upload: BlobUpload, step: Step): Promise<HttpAnswer> {
  const { session, reference, scopes, signal } = upload;
  const doing = doingOf(upload);
  return askRegistry(session, {
    reference,
    scopes,
    signal,
    doing,
    accept: "*/*",
    maxBytes: maxAnswerBytes,
    ...step,
  });
}

/** Asks what must not be asked twice without a look at what came of it. */
async function askOnce(upload: BlobUpload, step: Step, fine: readonly number[]): Promise<HttpAnswer> {
  const timeoutMs = Math.max(upload.session.options.timeoutMs ?? 0, storeTimeoutMs);
  // Of an upload that was begun, 404 says that the registry has forgotten it, and 416 that it has got to another place.
  const isLost = (status: number) => step.path instanceof URL && (status === 404 || status === 416);
  const isFine = (status: number) => fine.includes(status) || isLost(status) || status >= 429;
  const answer = await ask(upload, { ...step, isFine, patience: { maxAttempts: 1, timeoutMs } }).catch(
    (error) => {
      throw isOfTransport(error) ? new PassingFailure(error) : error;
    },
  );
  if (fine.includes(answer.status)) return answer;
  const { reference } = upload;
  const asked = { reference, doing: doingOf(upload), action: "push", hasCredentials: true } as const;
  const failure = statusFailure(answer, asked);
  throw isLost(answer.status) || isPassing(answer) ? new PassingFailure(failure) : failure;
}

function isOfTransport(error: unknown): error is SystemError {
  return error instanceof SystemError && (error.code === "network" || error.code === "timeout");
}

/** Waits before the next attempt, if there is one and the failure may pass; else throws it. */
async function restAfter(upload: BlobUpload, error: unknown, attempt: number): Promise<void> {
  const { maxAttempts = 5, backoffMs } = upload.session.options;
  if (!(error instanceof PassingFailure)) throw error;
  if (attempt >= maxAttempts) throw error.failure;
  const { signal } = upload;
  const rest = error.failure.retryAfterMs ?? backoff(attempt, backoffMs);
  await pause(rest, undefined, { signal }).catch((cause) => {
    throw signal ? abortFailure(signal, doingOf(upload)) : cause;
  });
}

/** The same upload, with what it has sent so far known, to be taken back when it was for nothing. */
function countSent(upload: BlobUpload) {
  let sent = 0;
  const onSent = (bytes: number) => {
    sent += bytes;
    upload.onSent?.(bytes);
  };
  return { upload: { ...upload, onSent }, takeBack: () => upload.onSent?.(-sent) };
}

function doingOf({ blob, reference }: BlobUpload): string {
  return `uploading ${blob.digest} to ${formatReference(reference)}`;
}
