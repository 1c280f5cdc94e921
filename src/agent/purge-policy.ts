import type { StoredModule } from "./module-files.ts";

/** Which modules a cache gives up: those that nobody has asked for in a while, and beyond a size the least recently used. */
export interface PurgePolicy {
  /**
   * The modules, by SHA-256, that gateways run or are about to be given: they stay, however old and however large they
   * are. Asked in the moment in which it is decided.
   */
  readonly inEffect: () => ReadonlySet<string>;
  readonly maxAgeMs: number;
  /** Of all modules together. */
  readonly maxBytes: number;
}

/** A module on disk, with when it was last asked for, in milliseconds since 1970. */
export interface UsedModule extends StoredModule {
  readonly lastUsed: number;
}

export interface PurgeLimits {
  readonly isKept: (module: UsedModule) => boolean;
  /** What was not asked for since then goes; milliseconds since 1970. */
  readonly oldest: number;
  readonly maxBytes: number;
}

/** The modules to be removed, least recently used first: all that are too old, and as many more as are above the size. */
export function chooseRemovals(
  modules: readonly UsedModule[],
  { isKept, oldest, maxBytes }: PurgeLimits,
): readonly UsedModule[] {
  let left = sizeOfAll(modules);
  return [...modules]
    .sort((a, b) => a.lastUsed - b.lastUsed)
    .filter((module) => {
      const isRemoved = !isKept(module) && (module.lastUsed <= oldest || left > maxBytes);
      if (isRemoved) left -= module.size;
      return isRemoved;
    });
}

export function sizeOfAll(modules: readonly StoredModule[]): number {
  return modules.reduce((sum, { size }) => sum + size, 0);
}
