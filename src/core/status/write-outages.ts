import { type Backoff, createBackoff } from "../../kubernetes/backoff.ts";
import { KubernetesError } from "../../kubernetes/kubernetes-error.ts";
import type { Log } from "../../log.ts";
import { errorText } from "../../system-error.ts";

/** After a first failure, and at most, milliseconds. */
const [firstMs, longestMs] = [5000, 30_000];
/** For one object that the API server does not take, milliseconds. */
const longestOwnMs = 300_000;

/** What keeps statuses from being written, and when to try again: of a namespace, or of one object. */
export interface WriteOutages {
  /** When a status of the namespace may be tried again, by `performance.now()`; 0 where nothing is known against it. */
  restsUntil(namespace: string): number;
  /** Takes down why a status was not written. Gives the time from which its object may be tried again. */
  failed(namespace: string, key: string, plugin: string, error: unknown): number;
  succeeded(namespace: string, key: string): void;
  /** The object is gone. */
  forget(key: string): void;
}

/**
 * A right that is missing or an API server that is away is the same for thousands of statuses: it is said once, and tried
 * with a few of them, less and less often. An object that is refused by itself holds up no other.
 */
export function createWriteOutages(log: Log): WriteOutages {
  const outages = new Map<string, { readonly backoff: Backoff; until: number }>();
  const refused = new Map<string, Backoff>();

  function refuse(key: string, plugin: string, error: unknown): number {
    const backoff = refused.get(key) ?? createBackoff({ firstMs, longestMs: longestOwnMs });
    refused.set(key, backoff);
    log.warn({ plugin, error: errorText(error) }, "cannot write the status");
    return performance.now() + backoff.next();
  }

  return {
    restsUntil: (namespace) => outages.get(namespace)?.until ?? 0,
    failed(namespace, key, plugin, error) {
      if (isOfObject(error)) return refuse(key, plugin, error);
      const known = outages.get(namespace);
      const now = performance.now();
      // Several were on their way.
      if (known && now < known.until) return known.until;
      const { backoff } = known ?? { backoff: createBackoff({ firstMs, longestMs }) };
      const until = now + backoff.next(error instanceof KubernetesError ? error.retryAfterMs : undefined);
      outages.set(namespace, { backoff, until });
      if (!known)
        log.warn(
          { namespace, plugin, error: `${errorText(error)}${adviceFor(error)}` },
          "cannot write statuses; they are written when that is mended",
        );
      return until;
    },
    succeeded(namespace, key) {
      refused.delete(key);
      if (outages.delete(namespace)) log.info({ namespace }, "statuses are written again");
    },
    forget(key) {
      refused.delete(key);
    },
  };
}

const ofObject = [400, 409, 413, 422];

function adviceFor(error: unknown): string {
  return error instanceof KubernetesError && error.status === 404
    ? " (the cluster's CRD of WasmPlugins has no status: kubectl apply --server-side --force-conflicts -f api/crds)"
    : "";
}

function isOfObject(error: unknown): boolean {
  return error instanceof KubernetesError && ofObject.includes(error.status);
}
