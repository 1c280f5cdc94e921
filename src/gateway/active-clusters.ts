import { type ActiveCluster, createActiveCluster, type TlsOf } from "./active-cluster.ts";
import type { Cluster } from "./cluster-config.ts";

export type { ActiveCluster } from "./active-cluster.ts";

/** The clusters that are in use, by name. */
export interface ActiveClusters {
  find(name: string): ActiveCluster | undefined;
  readonly all: ReadonlyMap<string, ActiveCluster>;
  /** Takes new clusters over. Connections to endpoints that stay are kept. */
  apply(clusters: ReadonlyMap<string, Cluster>): void;
  close(): void;
}

export function createActiveClusters(tlsOf: TlsOf = () => undefined): ActiveClusters {
  const active = new Map<string, ActiveCluster>();
  return {
    find: (name) => active.get(name),
    all: active,
    apply(clusters) {
      for (const [name, cluster] of active) {
        if (clusters.has(name)) continue;
        active.delete(name);
        cluster.close();
      }
      for (const [name, config] of clusters) {
        const known = active.get(name);
        if (known) known.update(config);
        else active.set(name, createActiveCluster(config, tlsOf));
      }
    },
    close() {
      for (const cluster of active.values()) cluster.close();
      active.clear();
    },
  };
}
