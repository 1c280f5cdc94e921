import { getOrCreate } from "../get-or-create.ts";
import { mapIncrementally, whenChanged } from "../incremental.ts";
import type { IstioConfig, IstioConfigSet } from "../istio/config.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { type BuildOptions, createSnapshotBuilder } from "./build-snapshot.ts";
import type { ProxyNode } from "./proxy.ts";

/** What a gateway gets, now and with each change; `gone` aborts when it is no longer connected. */
export type SnapshotsOf = (proxy: ProxyNode, gone: AbortSignal) => Watchable<Snapshot>;

interface Kind {
  readonly proxy: ProxyNode;
  readonly snapshot: Watchable<Snapshot>;
  gateways: number;
}

type Build = (config: IstioConfigSet) => Snapshot;

/**
 * Builds one snapshot for all gateways that get the same. Of a gateway's labels only those count that something selects
 * by: pods have labels of their own, and there is one snapshot for a hundred of them all the same.
 */
export function createSnapshots(
  config: Watchable<IstioConfigSet>,
  options: BuildOptions,
  signal: AbortSignal,
): SnapshotsOf {
  const kinds = new Map<string, Kind>();
  const selectorLabels = createSelectorLabels();
  let builds = new Map<string, Build>();

  function createBuild(proxy: ProxyNode): Build {
    return whenChanged(createSnapshotBuilder(proxy, options));
  }

  function buildFor(proxy: ProxyNode, now: IstioConfigSet, kept: Map<string, Build>): Snapshot {
    const seen = asSelected(proxy, selectorLabels(now));
    const key = keyOf(seen);
    const build = getOrCreate(kept, key, () => builds.get(key) ?? createBuild(seen));
    return build(now);
  }

  config.watch((now) => {
    // What nobody gets any more is not built again.
    const kept = new Map<string, Build>();
    const built = [...kinds.values()].map(({ proxy, snapshot }) => ({
      snapshot,
      next: buildFor(proxy, now, kept),
    }));
    builds = kept;
    for (const { snapshot, next } of built) snapshot.set(next);
  }, signal);

  return (proxy, gone) => {
    const key = keyOf(proxy);
    const kind = getOrCreate(kinds, key, () => {
      const first = config.value && buildFor(proxy, config.value, builds);
      return { proxy, snapshot: createWatchable<Snapshot>(first), gateways: 0 };
    });
    kind.gateways++;
    const release = () => {
      if (--kind.gateways === 0 && kinds.size > manyKinds) kinds.delete(key);
    };
    gone.addEventListener("abort", release, { once: true });
    return kind.snapshot;
  };
}

/** As many kinds of gateways keep their snapshots while none of them is connected: it may come back. */
const manyKinds = 64;

const keyOf = (proxy: ProxyNode) => JSON.stringify(proxy);

/** A gateway as selectors see it: with those of its labels that any of them looks for. */
function asSelected(proxy: ProxyNode, selected: ReadonlySet<string>): ProxyNode {
  const seen = Object.entries(proxy.labels).filter(([key, value]) => selected.has(labelText(key, value)));
  return { ...proxy, labels: Object.fromEntries(seen) };
}

const labelText = (key: string, value: string) => `${key}\0${value}`;

/** The labels that Gateways and WasmPlugins select by. */
function createSelectorLabels(): (config: IstioConfigSet) => ReadonlySet<string> {
  const ofGateway = mapIncrementally(({ spec }: IstioConfig<"Gateway">) => labelsText(spec.selector));
  const ofPlugin = mapIncrementally(({ spec }: IstioConfig<"WasmPlugin">) =>
    labelsText(spec.selector?.matchLabels ?? {}),
  );
  // Thousands select by the same labels, so that an edit nearly always leaves these texts as they are.
  const gateways = whenChanged(joinDistinct);
  const plugins = whenChanged(joinDistinct);
  const all = whenChanged(
    (one: string, other: string) => new Set([...one.split("\n"), ...other.split("\n")]),
  );
  return ({ Gateway, WasmPlugin }) => all(gateways(ofGateway(Gateway)), plugins(ofPlugin(WasmPlugin)));
}

const joinDistinct = (texts: readonly string[]) => [...new Set(texts)].join("\n");

/** Labels cannot contain what is between them here. */
function labelsText(matchLabels: Readonly<Record<string, string>>): string {
  return Object.entries(matchLabels)
    .map(([key, value]) => labelText(key, value))
    .join("\n");
}
