import { SystemError } from "../system-error.ts";
import { downloadModule, readModuleFile } from "./fetch-module.ts";
import { createImageFetcher } from "./image-fetcher.ts";
import type { StoredModule } from "./module-files.ts";
import type { ModuleSource } from "./module-index.ts";
import type { ModuleOrigin } from "./module-origin.ts";
import { expectedSha256, isExpected, type ModuleRequest } from "./module-request.ts";
import type { ModuleStore } from "./module-store.ts";
import {
  describeSource,
  flightKey,
  limited,
  type ModuleFetcherOptions,
  type PreparedModule,
  type PulledModule,
  storePulled,
  timed,
} from "./pulled-module.ts";
import { createSingleFlight } from "./single-flight.ts";

/** A module in the store, and how it came there. */
export interface FoundModule {
  readonly module: StoredModule;
  readonly source: ModuleSource;
}

/** Gets a module from where it is, into the store. */
export type FetchModule = (
  origin: ModuleOrigin,
  request: ModuleRequest,
  signal: AbortSignal | undefined,
) => Promise<FoundModule>;

/** One download at a time for each module, however many ask. */
export function createModuleFetcher(store: ModuleStore, options: ModuleFetcherOptions): FetchModule {
  const fetchImage = createImageFetcher(store, options);
  const fetchPlain = createPlainFetcher(store, options);
  return async (origin, request, signal) => {
    const { digests, ...found } =
      origin.kind === "oci"
        ? await fetchImage(origin, request, signal)
        : { ...(await fetchPlain(origin, request, signal)), digests: [] };
    const { pulled, outcome, notes } = found;
    // What was forged must be called so, before what else is wrong with it.
    if (outcome instanceof SystemError) {
      checkExpected({ module: pulled, digests }, request, origin);
      throw outcome;
    }
    const made = { module: outcome.digest, pulled, notes };
    const source = describeSource(origin, made, digests, options.preparation);
    await store.record(origin.key, source);
    checkExpected(source, request, origin);
    return { module: outcome, source };
  };
}

type Plain = Exclude<ModuleOrigin, { kind: "oci" }>;

/** What is one file, over HTTP or on this machine. */
function createPlainFetcher(store: ModuleStore, options: ModuleFetcherOptions) {
  const storeOnce = createSingleFlight<PulledModule>();
  const put = ({ bytes }: PreparedModule) => store.put(bytes);
  return (origin: Plain, request: ModuleRequest, signal: AbortSignal | undefined): Promise<PulledModule> =>
    storeOnce(flightKey(origin, request), `fetching ${origin.key}`, signal, async (shared) => {
      const settings = { ...options, signal: limited(shared, options) };
      const storeFrom = async (bytes: Promise<Uint8Array>) =>
        storePulled(await bytes, origin.key, options.preparation, put);
      if (origin.kind === "file") return storeFrom(readModuleFile(origin, settings));
      return timed(options, () => storeFrom(downloadModule(origin, settings)));
    });
}

function checkExpected(source: ModuleSource, request: ModuleRequest, origin: ModuleOrigin): void {
  const expected = expectedSha256(request);
  if (expected === undefined || isExpected(source, expected)) return;
  const manifest = source.digests[0] === undefined ? "" : ` and its manifest ${source.digests[0]}`;
  throw new SystemError(
    "digest-mismatch",
    `${origin.key}: the module has sha256 ${source.pulled ?? source.module}${manifest}; expected ${expected}, as the plugin says`,
  );
}
