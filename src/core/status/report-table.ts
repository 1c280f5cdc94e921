import { firstRefusals, type PluginReport, type ReportChanges } from "../../xds/plugin-report.ts";

/** What is known from all discoveries. */
export interface KnownReports {
  /** `away`: discoveries are named, and none answers. */
  readonly following: "yes" | "no" | "away";
  /** By `namespace.name` what each discovery says; a list stays the same object while it says the same. */
  readonly reports: ReadonlyMap<string, readonly PluginReport[]>;
  /** Grows with every change. */
  readonly revision: number;
  /** The names of what may have changed since a revision of the same reports; undefined where that is too long ago. */
  readonly changedSince: (revision: number) => readonly string[] | undefined;
}

const nothing = { reports: new Map(), revision: 0, changedSince: () => [] };

/** Nobody says anything. */
export const notFollowing: KnownReports = { following: "no", ...nothing };

/** Somebody will say something. */
export const notHeardYet: KnownReports = { following: "away", ...nothing };

/** What each of several discoveries says, by plugin. */
export interface ReportTable {
  /** Takes a message of a discovery; the first one of a stream says everything. */
  apply(discovery: string, changes: ReportChanges, isFirst: boolean): void;
  has(discovery: string): boolean;
  forget(discovery: string): void;
  known(): KnownReports;
}

export function createReportTable(): ReportTable {
  const byDiscovery = new Map<string, Map<string, PluginReport>>();
  const byPlugin = new Map<string, readonly PluginReport[]>();
  const changes = createChangeLog();

  function collect(names: Iterable<string>): void {
    for (const name of new Set(names)) {
      changes.note(name);
      const list = [...byDiscovery.values()].flatMap((reports) => reports.get(name) ?? []);
      if (list.length > 0) byPlugin.set(name, list);
      else byPlugin.delete(name);
    }
  }

  return {
    apply(discovery, { changed, removed }, isFirst) {
      const before = byDiscovery.get(discovery);
      const reports = isFirst || !before ? new Map<string, PluginReport>() : before;
      for (const report of changed) reports.set(report.name, report);
      for (const name of removed) reports.delete(name);
      byDiscovery.set(discovery, reports);
      collect([...changed.map(({ name }) => name), ...removed, ...(isFirst ? (before?.keys() ?? []) : [])]);
    },
    has: (discovery) => byDiscovery.has(discovery),
    forget(discovery) {
      const names = byDiscovery.get(discovery)?.keys() ?? [];
      byDiscovery.delete(discovery);
      collect(names);
    },
    known: () => ({
      following: byDiscovery.size > 0 ? "yes" : "away",
      reports: byPlugin,
      revision: changes.revision(),
      changedSince: changes.since,
    }),
  };
}

/** Who looks at what has changed does so several times a second: this is enough for a first message of everything. */
const maxNoted = 50_000;

/** The latest changes, in order. */
function createChangeLog() {
  let names: string[] = [];
  let forgotten = 0;
  return {
    note(name: string): void {
      names.push(name);
      if (names.length <= maxNoted) return;
      forgotten += names.length;
      names = [];
    },
    revision: () => forgotten + names.length,
    since: (revision: number) => (revision < forgotten ? undefined : names.slice(revision - forgotten)),
  };
}

/**
 * Adds up what discoveries say of one plugin. One of them may still be behind the others: its gateways count among those
 * that have the current version yet to get.
 */
export function sumReports(
  reports: readonly PluginReport[],
  version: string | undefined,
): PluginReport | undefined {
  const current = reports.filter((report) => report.version === version);
  const [first] = current;
  if (!first || reports.length === 1) return first;
  const sum = (list: readonly PluginReport[], field: "gateways" | "programmed" | "refused") =>
    list.reduce((total, report) => total + report[field], 0);
  const modules = new Map<string, number>();
  for (const report of current)
    for (const [digest, count] of Object.entries(report.modules))
      modules.set(digest, (modules.get(digest) ?? 0) + count);
  return {
    name: first.name,
    version: first.version,
    gateways: sum(reports, "gateways"),
    programmed: sum(current, "programmed"),
    refused: sum(current, "refused"),
    refusals: firstRefusals(current.flatMap(({ refusals }) => refusals)),
    modules: Object.fromEntries([...modules].sort()),
  };
}
