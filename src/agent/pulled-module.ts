import { sha256Hex } from "../oci/digest.ts";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { SystemError } from "../system-error.ts";
import type { StoredModule } from "./module-files.ts";
import { type ModuleNotes, type ModuleSource, notesOf } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";
import { dependsOnVersion, type ModuleRequest, repositoryOf } from "./module-request.ts";

/** A module as it is to be stored. */
export interface PreparedModule extends ModuleNotes {
  readonly bytes: Uint8Array;
}

/** What modules go through between the registry and the store. */
export interface ModulePreparation {
  /** What they are prepared for: what was stored for something else is no answer. */
  readonly target: string;
  /**
   * Checks a module and gives what is to be stored, the same array where nothing is to be changed. `what` begins
   * messages.
   * @throws SystemError `module-invalid`
   */
  prepare(bytes: Uint8Array, what: string): PreparedModule;
}

export interface ModuleFetcherOptions extends RegistryClientOptions {
  /** Of a module and of what it comes in, in bytes. */
  readonly maxBytes: number;
  /** Of one fetch with all its attempts, in milliseconds. */
  readonly fetchTimeoutMs: number;
  readonly preparation?: ModulePreparation;
  /** Hears how long each download took, in milliseconds, until its module was stored or why it was not. */
  readonly onPull?: (result: "success" | "failure", ms: number) => void;
}

/** What was pulled, by its SHA-256, and what became of it: a module in the store, or the reason why not. */
export interface PulledModule {
  readonly pulled: string;
  readonly outcome: StoredModule | SystemError;
  readonly notes: ModuleNotes;
}

/** Stores what was pulled, prepared. */
export async function storePulled(
  bytes: Uint8Array,
  what: string,
  preparation: ModulePreparation | undefined,
  put: (prepared: PreparedModule) => Promise<StoredModule>,
): Promise<PulledModule> {
  const pulled = sha256Hex(bytes);
  try {
    const prepared = preparation?.prepare(bytes, what) ?? { bytes };
    return { pulled, outcome: await put(prepared), notes: notesOf(prepared) };
  } catch (error) {
    if (error instanceof SystemError && error.code === "module-invalid")
      return { pulled, outcome: error, notes: {} };
    throw error;
  }
}

/** What a URL stands for, when `module` is what became of what was pulled. */
export function describeSource(
  origin: ModuleOrigin,
  made: { readonly module: string; readonly pulled: string; readonly notes: ModuleNotes },
  digests: readonly string[],
  preparation: ModulePreparation | undefined,
): ModuleSource {
  const { module, pulled, notes } = made;
  return {
    module,
    ...(pulled !== module && { pulled }),
    ...(preparation && { preparedFor: preparation.target }),
    ...notes,
    digests,
    repository: repositoryOf(origin),
  };
}

/** The signal of work that many share, and that takes no longer than one fetch may. */
export function limited(signal: AbortSignal, { fetchTimeoutMs }: ModuleFetcherOptions): AbortSignal {
  return AbortSignal.any([signal, AbortSignal.timeout(fetchTimeoutMs)]);
}

/** The same download, timed. */
export async function timed(
  { onPull }: ModuleFetcherOptions,
  run: () => Promise<PulledModule>,
): Promise<PulledModule> {
  const began = performance.now();
  const finish = (result: "success" | "failure") => onPull?.(result, performance.now() - began);
  try {
    const pulled = await run();
    finish(pulled.outcome instanceof SystemError ? "failure" : "success");
    return pulled;
  } catch (error) {
    finish("failure");
    throw error;
  }
}

/** Who comes with a new version must not join a look at the registry from before. */
export function flightKey(origin: ModuleOrigin, request: ModuleRequest): string {
  const version = dependsOnVersion(request, origin) ? request.resourceVersion : "";
  const secret = origin.kind === "http" ? origin.url.href : (request.pullSecret ?? "");
  return JSON.stringify([origin.key, sha256Hex(Buffer.from(secret)), version]);
}
