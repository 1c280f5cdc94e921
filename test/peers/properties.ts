import fc from "fast-check";

/**
 * What every generated case follows from: WASMLINE_TEST_SEED, or else 1. Whether a commit passes is thereby a matter of
 * the commit; `npm run fuzz` looks where nobody has looked yet, from another seed each time ("random").
 */
export const seed = readSeed(process.env.WASMLINE_TEST_SEED ?? "1");

/**
 * A test's few cases do not come to everything that they may come to with every seed: that they do is claimed of the
 * usual one, by which the generators are known to be as wide as they look.
 */
export const isUsualSeed = seed === 1;

fc.configureGlobal({ seed, numRuns: fuzzRuns(100) });

/** Properties are run from `seed`: take `fc` from here. */
export { fc };

/** How many generated cases a test runs: so many, times WASMLINE_FUZZ. */
export function fuzzRuns(usual: number): number {
  return usual * Number(process.env.WASMLINE_FUZZ ?? 1);
}

function readSeed(text: string): number {
  return text === "random" ? Math.floor(Math.random() * 2 ** 31) : Number(text);
}
