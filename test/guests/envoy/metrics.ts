import type { Envoy } from "./envoy.ts";

/** Values of the plugins' own metrics by name; with an earlier reading, of those that changed since, counters as what was added. */
export async function readMetrics(
  envoy: Envoy,
  before: Readonly<Record<string, number>> = {},
): Promise<Record<string, number>> {
  const text = await envoy.adminText("/stats/prometheus?filter=^wasmcustom");
  const kinds = new Map<string, string>();
  const found: Record<string, number> = {};
  for (const line of text.split("\n")) {
    const type = /^# TYPE (\S+) (\w+)/.exec(line);
    if (type) kinds.set(type[1]!, type[2]!);
    const value = /^([a-zA-Z0-9_]+)\{.*\} (\S+)$/.exec(line);
    if (!value) continue;
    const name = value[1]!;
    const kind = kinds.get(name) ?? kinds.get(name.replace(/_count$/, ""));
    if (kind === undefined || (kind === "histogram" && !name.endsWith("_count"))) continue;
    found[name.replace(/^(envoy_)?wasmcustom_/, "")] = Number(value[2]);
  }
  return Object.fromEntries(
    Object.entries(found)
      .filter(([name, value]) => before[name] !== value)
      .map(([name, value]) => [name, value]),
  );
}
