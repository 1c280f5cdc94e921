import { createHash } from "node:crypto";
import { fileURLToPath } from "node:url";
import { formatReference, parseReference, type Reference } from "../oci/reference.ts";
import { SystemError } from "../system-error.ts";

/** Where a module comes from. `key` names it in the cache and, free of secrets, in messages. */
export type ModuleOrigin =
  | { readonly kind: "oci"; readonly key: string; readonly reference: Reference; readonly isLatest: boolean }
  | { readonly kind: "http"; readonly key: string; readonly url: URL }
  | { readonly kind: "file"; readonly key: string; readonly path: string };

/**
 * Reads the `url` of a WasmPlugin; without a scheme it is an image reference.
 * @throws SystemError `reference-invalid`
 */
export function parseModuleUrl(text: string): ModuleOrigin {
  const scheme = /^([a-zA-Z][a-zA-Z0-9+.-]*):\/\//.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined || scheme === "oci") return ociOrigin(text);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (scheme === "file") return fileOrigin(text);
  if (url && (scheme === "http" || scheme === "https")) return { kind: "http", key: keyOf(url), url };
  const found = url ? `the scheme is "${scheme}"` : "it cannot be parsed";
  throw new SystemError(
    "reference-invalid",
    `a module's URL is invalid: ${found}; expected oci://, https://, http:// or file://`,
  );
}

function ociOrigin(text: string): ModuleOrigin {
  const reference = parseReference(text);
  const isLatest = reference.digest === undefined && text.endsWith(":latest");
  return { kind: "oci", key: `oci://${formatReference(reference)}`, reference, isLatest };
}

function fileOrigin(text: string): ModuleOrigin {
  try {
    return { kind: "file", key: text, path: fileURLToPath(text) };
  } catch (error) {
    const expected = "expected file:// and an absolute path";
    throw new SystemError("reference-invalid", `a module's URL "${text}" is invalid: ${expected}`, error);
  }
}

/** User, password and query may be secret: the first two are left out, of the query there is a hash. */
function keyOf(url: URL): string {
  const query = createHash("sha256").update(url.search).digest("hex").slice(0, 16);
  return `${url.origin}${url.pathname}${url.search && `?${query}`}`;
}
