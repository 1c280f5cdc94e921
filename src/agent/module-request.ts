import type { ModuleSource } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";

/** A module that a plugin asks for. */
export interface ModuleRequest {
  /** `oci://` (also where there is no scheme), `http://`, `https://` or `file://`. */
  readonly url: string;
  /** Hexadecimal; that of the module's bytes or, for an image, of its manifest. */
  readonly sha256?: string;
  readonly pullPolicy: "unspecified" | "IfNotPresent" | "Always";
  /** A Docker configuration with credentials for the registry. Secret. */
  readonly pullSecret?: string;
  /** Names the plugin that asks. */
  readonly resource: string;
  /** Changes when the plugin changes; with the policy Always, the registry is asked anew then. */
  readonly resourceVersion: string;
}

/** True where a change of the plugin means a look at the registry: for Always, and for the tag `latest` without a policy. */
export function dependsOnVersion({ pullPolicy }: ModuleRequest, origin: ModuleOrigin): boolean {
  // As Istio has it: an image without a tag is not "latest" here, and neither is anything that is no image.
  if (pullPolicy === "unspecified") return origin.kind === "oci" && origin.isLatest;
  return pullPolicy === "Always";
}

/** The digest that a plugin expects, bare and in lower case; undefined for none. */
export function expectedSha256({ sha256 = "" }: ModuleRequest): string | undefined {
  return (
    sha256
      .trim()
      .toLowerCase()
      .replace(/^sha256:/, "") || undefined
  );
}

/** True if a module is the one of that SHA-256, as it was pulled. */
// Unlike Istio: it compares with the manifest's digest only, which is not what `sha256sum plugin.wasm` says; here both
// are right, and so is the digest of the index by which the image was found.
export function isExpected({ module, pulled = module, digests }: ModuleSource, expected: string): boolean {
  return pulled === expected || digests.includes(`sha256:${expected}`);
}

/** Registry and repository of an image. */
export function repositoryOf(origin: ModuleOrigin): string | undefined {
  return origin.kind === "oci" ? `${origin.reference.registry}/${origin.reference.repository}` : undefined;
}
