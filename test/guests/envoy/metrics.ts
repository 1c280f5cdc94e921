import type { Envoy } from "./envoy.ts";

/**
 * Counters and gauges of the plugins by name; with an earlier reading, those that changed since. Histograms are left out:
 * Envoy shows them when it next flushes its statistics.
 */
export async function readMetrics(
  envoy: Envoy,
  before: Readonly<Record<string, number>> = {},
): Promise<Record<string, number>> {
  const text = await envoy.adminText("/stats?filter=^wasmcustom&type=All");
  const found = [...text.matchAll(/^wasmcustom\.(\S+): (\d+)$/gm)];
  const values = found.map(([, name, value]) => [name!, Number(value)] as const);
  return Object.fromEntries(values.filter(([name, value]) => before[name] !== value));
}
