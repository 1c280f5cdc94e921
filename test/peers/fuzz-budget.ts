/** How many generated cases a test runs: so many, times WASMLINE_FUZZ (`npm run fuzz`). */
export function fuzzRuns(usual: number): number {
  return usual * Number(process.env.WASMLINE_FUZZ ?? 1);
}
