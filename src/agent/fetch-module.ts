import { open } from "node:fs/promises";
import { STATUS_CODES } from "node:http";
import { type HttpAnswer, type HttpOptions, retryAfterOf, sendRequest } from "../oci/http.ts";
import { unpackModule } from "../oci/unpack-module.ts";
import { SystemError } from "../system-error.ts";
import type { ModuleOrigin } from "./module-origin.ts";

export interface FetchModuleOptions extends HttpOptions {
  /** Of the module, and of what it is wrapped in. */
  readonly maxBytes: number;
  readonly signal?: AbortSignal;
}

/**
 * Downloads a module over HTTP, as it is or in gzip and tar.
 * @throws SystemError `not-found`, `unauthorized`, `network`, `timeout`, `too-large`, `module-invalid`
 */
export async function downloadModule(
  { key, url }: Extract<ModuleOrigin, { kind: "http" }>,
  options: FetchModuleOptions,
): Promise<Uint8Array> {
  const doing = `fetching the module ${key}`;
  const answer = await sendRequest({
    ...options,
    url: withoutUser(url),
    headers: authorizationOf(url),
    doing,
  });
  if (answer.status !== 200) throw statusFailure(answer, doing);
  // Unlike Istio: a tar's plugin.wasm comes before its first file, so that archives with documents in them work.
  return unpackModule(answer.body, { what: key, maxBytes: options.maxBytes, tarRule: "named-or-first" });
}

/**
 * Reads a module from a file, as it is or in gzip and tar.
 * @throws SystemError `not-found`, `disk`, `too-large`, `module-invalid`
 */
export async function readModuleFile(
  { key, path }: Extract<ModuleOrigin, { kind: "file" }>,
  { maxBytes }: FetchModuleOptions,
): Promise<Uint8Array> {
  const bytes = await readBounded(path, maxBytes).catch((error: NodeJS.ErrnoException) => {
    throw SystemError.from(
      error,
      error.code === "ENOENT" ? "not-found" : "disk",
      `reading the module ${key}`,
    );
  });
  return unpackModule(bytes, { what: key, maxBytes, tarRule: "named-or-first" });
}

async function readBounded(path: string, maxBytes: number): Promise<Uint8Array> {
  const file = await open(path, "r");
  try {
    const found = await file.stat();
    if (!found.isFile()) throw new SystemError("disk", `${path} is no regular file; expected a Wasm module`);
    const { size } = found;
    if (size > maxBytes) {
      throw new SystemError("too-large", `${path} has ${size} bytes; a module may have ${maxBytes} at most`);
    }
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function statusFailure(answer: HttpAnswer, doing: string): SystemError {
  const { status } = answer;
  const code = status === 404 ? "not-found" : status === 401 || status === 403 ? "unauthorized" : "network";
  const message = `${doing}: ${status} ${STATUS_CODES[status] ?? ""}; expected 200`;
  return new SystemError(code, message, undefined, retryAfterOf(answer));
}

function authorizationOf({ username, password }: URL): Record<string, string> {
  if (username === "") return {};
  const text = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return { authorization: `Basic ${Buffer.from(text).toString("base64")}` };
}

function withoutUser(url: URL): URL {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return bare;
}
