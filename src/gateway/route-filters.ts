import type { PerFilter, PerFilterConfig, RouteTable, SelectedRoute } from "./route-table.ts";

/** What a table says of filters anywhere: kinds by the filter's name. */
export type FilterMentions = ReadonlyMap<string, ReadonlySet<PerFilterConfig["kind"]>>;

const none: FilterMentions = new Map();
const known = new WeakMap<RouteTable, FilterMentions>();

/** Collects what a table says of filters: most have none of it, and none of its cost. */
export function mentionsOf(table: RouteTable | undefined): FilterMentions {
  if (!table) return none;
  let mentions = known.get(table);
  if (!mentions) {
    mentions = collect(table);
    known.set(table, mentions);
  }
  return mentions;
}

function collect(table: RouteTable): FilterMentions {
  const mentions = new Map<string, Set<PerFilterConfig["kind"]>>();
  for (const perFilter of perFilters(table)) {
    for (const [name, { kind }] of perFilter)
      mentions.set(name, (mentions.get(name) ?? new Set<PerFilterConfig["kind"]>()).add(kind));
  }
  return mentions;
}

function* perFilters(table: RouteTable): Iterable<PerFilter> {
  yield table.perFilter;
  for (const host of table.virtualHosts) {
    yield host.perFilter;
    for (const { perFilter, action } of host.routes) {
      yield perFilter;
      if (action.kind === "forward" && action.target.kind === "weighted")
        for (const cluster of action.target.clusters) yield cluster.perFilter;
    }
  }
}

/** The configurations of a filter by a route, the most specific first. */
export function filterConfigsOf(selected: SelectedRoute | undefined, name: string): PerFilterConfig[] {
  return levels(selected).flatMap((level) => {
    const config = level?.get(name);
    return config && config.kind !== "disabled" && config.kind !== "enabled" ? [config] : [];
  });
}

/** Whether a route switches a filter on (true) or off; undefined where it says nothing. */
export function filterSwitchOf(selected: SelectedRoute | undefined, name: string): boolean | undefined {
  const config = levels(selected)
    .find((level) => level?.has(name))
    ?.get(name);
  return config && config.kind !== "disabled";
}

function levels(selected: SelectedRoute | undefined): (PerFilter | undefined)[] {
  const { weighted, route, virtualHost, table } = selected ?? {};
  return [weighted?.perFilter, route?.perFilter, virtualHost?.perFilter, table?.perFilter];
}
