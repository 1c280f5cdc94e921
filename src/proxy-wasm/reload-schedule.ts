/** When a plugin that has lost its Vm gets another. */
export interface ReloadSchedule {
  started(): void;
  failed(): void;
  isDue(): boolean;
}

const baseNs = 1_000_000_000n;
const maxDoublings = 6;

/**
 * A second after the first loss, as Envoy; twice as long after each further one, up to 64 s, until a Vm has lived for as
 * long as that: a plugin that traps on every start costs little.
 */
export function createReloadSchedule(now: () => bigint): ReloadSchedule {
  let losses = 0;
  let startedAt = now();
  let dueAt = 0n;
  return {
    started() {
      startedAt = now();
    },
    failed() {
      const longest = baseNs << BigInt(maxDoublings);
      losses = now() - startedAt >= longest ? 1 : losses + 1;
      dueAt = now() + (baseNs << BigInt(Math.min(losses - 1, maxDoublings)));
    },
    isDue: () => now() >= dueAt,
  };
}
