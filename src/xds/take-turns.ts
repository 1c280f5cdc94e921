/** Runs work, so much of it at once; the rest waits for its turn in order. */
export type TakeTurns = <T>(work: () => Promise<T>) => Promise<T>;

export function createTurns(atOnce: number): TakeTurns {
  const waiting: (() => void)[] = [];
  let running = 0;
  return async (work) => {
    // Whoever ends hands its place on.
    if (running >= atOnce) await new Promise<void>((resolve) => waiting.push(resolve));
    else running++;
    try {
      return await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else running--;
    }
  };
}
