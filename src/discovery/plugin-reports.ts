import { getOrCreate } from "../get-or-create.ts";
import { sameItems } from "../incremental.ts";
import { firstRefusals, maxReasonLength, type PluginReport, type Refusal } from "../xds/plugin-report.ts";
import type { ClientStatus, XdsServer } from "../xds/server.ts";
import { partsOf, type SnapshotType, type XdsResource } from "../xds/snapshot.ts";
import type { SubscriptionStatus } from "../xds/subscription.ts";
import { typeUrls } from "../xds/type-urls.ts";

/** The gateways that get the same plugins, and by plugin what is not as it should be there. */
interface Group {
  readonly gateways: ClientStatus[];
  readonly waiting: Map<string, ClientStatus[]>;
  readonly refused: Map<string, { readonly client: ClientStatus; readonly reason: string }[]>;
}

type Parts = ReadonlyMap<string, XdsResource>;

/**
 * Sums up what gateways have answered, by plugin. What it costs grows with the gateways, with the plugins and with the
 * answers that are missing, and not with gateways times plugins.
 */
export function collectReports(server: XdsServer): ReadonlyMap<string, PluginReport> {
  const groups = new Map<SnapshotType, Group>();
  for (const client of newestOfEach(server.clients())) {
    const type = client.snapshot?.get(typeUrls.extensionConfig);
    // A gateway that listens nowhere runs no plugin.
    if (!type || !client.snapshot?.get(typeUrls.listener)?.resources.size) continue;
    addToGroup(
      getOrCreate(groups, type, () => ({ gateways: [], waiting: new Map(), refused: new Map() })),
      client,
      type,
    );
  }
  const reports = new Map<string, PluginReport>();
  for (const [type, group] of groups)
    for (const part of partsByName(type).values()) {
      const report = reportOf(part, group, server);
      reports.set(part.name, addReports(reports.get(part.name), report));
    }
  return reports;
}

/** While one Envoy takes over from another, a gateway is connected twice. */
function newestOfEach(clients: readonly ClientStatus[]): Iterable<ClientStatus> {
  return new Map(clients.map((client) => [client.node.id, client])).values();
}

function addToGroup({ gateways, waiting, refused }: Group, client: ClientStatus, type: SnapshotType): void {
  gateways.push(client);
  const status = client.subscriptions.find(({ typeUrl }) => typeUrl === typeUrls.extensionConfig);
  const open = status?.synced ? openParts(status, status.synced, type) : [...partsByName(type).keys()];
  for (const name of new Set(open)) getOrCreate(waiting, name, () => []).push(client);
  for (const [name, { error }] of status?.rejected ?? [])
    getOrCreate(refused, name, () => []).push({ client, reason: error });
}

/** The plugins of a type that a gateway has not answered, or not asked for. */
function* openParts(status: SubscriptionStatus, synced: SnapshotType, type: SnapshotType): Iterable<string> {
  yield* status.pending;
  yield* notAskedFor(status, type);
  if (synced !== type) yield* changedParts(synced, type);
}

interface Asked {
  readonly revision: number;
  readonly keys: readonly string[];
  readonly missing: readonly string[];
}
const asked = new WeakMap<ReadonlySet<string>, Asked>();

/** Plugins that a gateway has not asked for yet; looked through again only when names have changed, its own or the type's. */
function notAskedFor({ names, namesRevision }: SubscriptionStatus, type: SnapshotType): readonly string[] {
  if (!names) return [];
  const keys = keysOf(type);
  const known = asked.get(names);
  if (known?.revision === namesRevision && known.keys === keys) return known.missing;
  const resources = keys.filter((name) => !names.has(name)).map((name) => type.resources.get(name)!);
  const missing = resources.flatMap((resource) => partsOf(resource).map(({ name }) => name));
  asked.set(names, { revision: namesRevision, keys, missing });
  return missing;
}

const keysByType = new WeakMap<SnapshotType, readonly string[]>();
/** The lists of names that were seen last, of which there are as many as kinds of gateways. */
const recentKeys: (readonly string[])[] = [];
const maxRecentKeys = 16;

/** The names of a type's resources; the same list for types that follow each other with the same names. */
function keysOf(type: SnapshotType): readonly string[] {
  return getOrCreate(keysByType, type, () => {
    const keys = [...type.resources.keys()];
    const known = recentKeys.find((recent) => sameItems(recent, keys));
    if (known) return known;
    recentKeys.unshift(keys);
    recentKeys.length = Math.min(recentKeys.length, maxRecentKeys);
    return keys;
  });
}

const changes = new WeakMap<SnapshotType, WeakMap<SnapshotType, readonly string[]>>();

function changedParts(from: SnapshotType, to: SnapshotType): readonly string[] {
  return getOrCreate(
    getOrCreate(changes, to, () => new WeakMap()),
    from,
    () => {
      const before = partsByName(from);
      return [...partsByName(to).values()]
        .filter(({ name, version }) => before.get(name)?.version !== version)
        .map(({ name }) => name);
    },
  );
}

const parts = new WeakMap<SnapshotType, Parts>();

function partsByName(type: SnapshotType): Parts {
  return getOrCreate(
    parts,
    type,
    () => new Map([...type.resources.values()].flatMap((r) => partsOf(r).map((part) => [part.name, part]))),
  );
}

function reportOf({ name, source = "" }: XdsResource, group: Group, server: XdsServer): PluginReport {
  const waiting = group.waiting.get(name) ?? [];
  const refused = (group.refused.get(name) ?? []).filter(({ client }) => !waiting.includes(client));
  const gateways = group.gateways.length;
  return {
    name,
    version: source,
    gateways,
    programmed: gateways - waiting.length - refused.length,
    refused: refused.length,
    refusals: firstRefusals(refused.map(({ client, reason }) => refusalOf(name, client, reason))),
    modules: modulesWithout(waiting, name, server),
  };
}

function refusalOf(name: string, { node, modules }: ClientStatus, reason: string): Refusal {
  return { gateway: node.id, reason: reason.slice(0, maxReasonLength), hasModule: modules.has(name) };
}

/** The modules of those that have answered: what the others run is that of an earlier version. */
function modulesWithout(
  waiting: readonly ClientStatus[],
  name: string,
  server: XdsServer,
): Readonly<Record<string, number>> {
  const counts = new Map(server.modulesOf(name));
  for (const { modules } of waiting) {
    const digest = modules.get(name);
    if (digest !== undefined) counts.set(digest, (counts.get(digest) ?? 0) - 1);
  }
  return Object.fromEntries([...counts].filter(([, count]) => count > 0).sort());
}

/** Gateways with other labels get the same plugin in another snapshot. */
function addReports(one: PluginReport | undefined, other: PluginReport): PluginReport {
  if (!one) return other;
  return {
    ...other,
    gateways: one.gateways + other.gateways,
    programmed: one.programmed + other.programmed,
    refused: one.refused + other.refused,
    refusals: firstRefusals([...one.refusals, ...other.refusals]),
    // Counted over all of them already, but for those that wait.
    modules: fewest(one.modules, other.modules),
  };
}

function fewest(
  a: Readonly<Record<string, number>>,
  b: Readonly<Record<string, number>>,
): Readonly<Record<string, number>> {
  const both = Object.keys(a).filter((digest) => Object.hasOwn(b, digest));
  return Object.fromEntries(both.map((digest) => [digest, Math.min(a[digest]!, b[digest]!)]));
}
