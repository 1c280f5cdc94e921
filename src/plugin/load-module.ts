import { readFile } from "node:fs/promises";
import { relative, resolve } from "node:path";
import { pullModule } from "../oci/pull-module.ts";
import { parseReference } from "../oci/reference.ts";
import { createRegistryClient, type RegistryClientOptions } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import type { NamedModule } from "./job.ts";

const maxBytes = 256 * 1024 * 1024;
/** An image with its registry: `oci://…`, or a first part with a dot or a port, which `.` and `..` are not. */
const image = /^(?:oci:\/\/|localhost\/|[^/.][^/]*[.:][^/]*\/.)/;

/**
 * Reads a module from a file, whose path is relative to a folder, or pulls it, if there is no such file, from the image
 * that the text names.
 * @throws SystemError `not-found`, `disk`, `reference-invalid`, `module-invalid`, and as `RegistryClient` does
 */
export async function loadModule(
  text: string,
  folder: string,
  options: RegistryClientOptions = {},
): Promise<NamedModule> {
  if (!text.startsWith("oci://")) {
    const bytes = await readFile(resolve(folder, text)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT" && image.test(text)) return undefined;
      throw unreadable(resolve(folder, text), error);
    });
    if (bytes) return { name: relative(".", resolve(folder, text)), bytes };
  }
  return { name: text, bytes: await pull(text, options) };
}

async function pull(text: string, options: RegistryClientOptions): Promise<Uint8Array> {
  const reference = parseReference(text);
  const client = createRegistryClient({ ...options, maxBlobBytes: maxBytes });
  return pullModule(client, reference, await client.resolve(reference), { maxBytes });
}

function unreadable(path: string, error: NodeJS.ErrnoException): SystemError {
  if (error.code !== "ENOENT") return SystemError.from(error, "disk", `reading ${path}`);
  return new SystemError(
    "not-found",
    `there is no module at ${path}; expected a file, as wasmline plugin build writes it, or an image as oci://registry/repository:tag`,
    error,
  );
}
