import { maxRefusals, type PluginReport } from "../../xds/plugin-report.ts";

/** What all discoveries together say of a plugin. */
export type SummedReport = PluginReport;

/** What is known from all discoveries. */
export interface KnownReports {
  /** `away`: discoveries are named, and none answers. */
  readonly following: "yes" | "no" | "away";
  /** By `namespace.name`; a report stays the same object while it says the same. */
  readonly reports: ReadonlyMap<string, SummedReport>;
}

/** Nobody says anything. */
export const notFollowing: KnownReports = { following: "no", reports: new Map() };

/**
 * Adds up what discoveries say of one plugin. One of them may still be behind the others: then there are gateways that
 * have the new version yet to get, and what those say of the old one counts for nothing.
 */
export function sumReports(reports: readonly PluginReport[], version: string | undefined): SummedReport | undefined {
  if (reports.length <= 1) return reports[0];
  const current = reports.filter((report) => report.version === version);
  const newest = current[0] ?? reports[0]!;
  const counted = reports.filter((report) => report.version === newest.version);
  const modules = new Map<string, number>();
  for (const report of counted)
    for (const [digest, count] of Object.entries(report.modules))
      modules.set(digest, (modules.get(digest) ?? 0) + count);
  const sum = (list: readonly PluginReport[], field: "gateways" | "programmed" | "refused") =>
    list.reduce((total, report) => total + report[field], 0);
  return {
    name: newest.name,
    version: newest.version,
    gateways: sum(reports, "gateways"),
    programmed: sum(counted, "programmed"),
    refused: sum(counted, "refused"),
    refusals: counted.flatMap(({ refusals }) => refusals).slice(0, maxRefusals),
    modules: Object.fromEntries([...modules].sort()),
  };
}
