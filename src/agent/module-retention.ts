import type { Log } from "../log.ts";
import { errorText, SystemError } from "../system-error.ts";
import { coalesce } from "../watchable.ts";
import type { ModuleStore } from "./module-store.ts";
import type { PurgePolicy } from "./purge-policy.ts";

/** A store that keeps to a policy. */
export interface RetainingStore {
  readonly store: ModuleStore;
  /** Applies the policy now. Throws as `ModuleStore.purge` does. */
  purge(): Promise<void>;
  /** Applies it soon, once for all who call until then; an error is logged. */
  purgeSoon(): void;
}

/**
 * Applies a policy to a store whenever asked; and where a module finds the disk full, without regard to age and size,
 * before it tries once more. `usedSince` is what `ModuleStore.purge` wants.
 */
export function createRetention(
  store: ModuleStore,
  policy: PurgePolicy,
  usedSince: () => number,
  log: Log,
): RetainingStore {
  let isOverBudget = false;
  const run = async (applied: PurgePolicy, reason: string) => {
    const { removed, left } = await store.purge(applied, usedSince);
    if (removed.length > 0) log.info({ removed: removed.map(({ digest }) => digest), left }, reason);
    return left;
  };
  const purge = async () => {
    const { maxBytes } = policy;
    const left = await run(
      policy,
      "removed modules that are not in effect, for their age or the cache's size",
    );
    if (left > maxBytes && !isOverBudget) {
      log.warn(
        { bytes: left, maxBytes },
        "the modules in effect alone are larger than the module cache may be; they stay",
      );
    }
    isOverBudget = left > maxBytes;
  };
  const purgeSoon = coalesce(purge, undefined, (error) =>
    log.warn({ error: errorText(error) }, "cannot remove modules"),
  );
  const retaining: ModuleStore = {
    ...store,
    async put(bytes, describe) {
      try {
        return await store.put(bytes, describe);
      } catch (error) {
        if (!isDiskFull(error)) throw error;
        await run({ ...policy, maxBytes: 0 }, "the disk is full: removed all modules that are not in effect");
      }
      return store.put(bytes, describe).catch((error) => {
        throw isDiskFull(error) ? withAdvice(error) : error;
      });
    },
  };
  return { store: retaining, purge, purgeSoon };
}

function isDiskFull(error: unknown): boolean {
  const cause = error instanceof SystemError ? error.cause : error;
  const { code } = (cause ?? {}) as NodeJS.ErrnoException;
  return code === "ENOSPC" || code === "EDQUOT";
}

function withAdvice(error: unknown): SystemError {
  const { code, message, cause } = SystemError.from(error, "disk", "storing a module");
  const advice = "make room there, or have the data in a larger place (--data-dir)";
  return new SystemError(code, `${message}; ${advice}`, cause);
}
