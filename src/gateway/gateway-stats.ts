import type { HttpStream } from "./http-stream.ts";

/** Counters of one thread, by Envoy's names. */
export interface GatewayStats {
  count(stream: HttpStream): void;
  /** Names and values, in the order of names. */
  read(): readonly (readonly [name: string, value: number])[];
}

export function createGatewayStats(): GatewayStats {
  const counters = new Map<string, number>();
  const names = new Map<string, readonly string[]>();
  const add = (name: string) => counters.set(name, (counters.get(name) ?? 0) + 1);
  return {
    count({ plan, cluster, chain }) {
      const status = chain.response.headers?.get(":status") ?? "0";
      const key = `${plan.http.statPrefix}\0${cluster?.config.statName ?? ""}\0${status}`;
      let counted = names.get(key);
      if (!counted) {
        counted = namesOf(plan.http.statPrefix, cluster?.config.statName, status);
        names.set(key, counted);
      }
      for (const name of counted) add(name);
    },
    read: () => [...counters].sort(([a], [b]) => (a < b ? -1 : 1)),
  };
}

function namesOf(prefix: string, cluster: string | undefined, status: string): string[] {
  const kind = `${status[0]}xx`;
  const names = [`http.${prefix}.downstream_rq_total`, `http.${prefix}.downstream_rq_${kind}`];
  if (cluster === undefined) return names;
  const of = `cluster.${cluster}`;
  return [...names, `${of}.upstream_rq_total`, `${of}.upstream_rq_${kind}`, `${of}.upstream_rq_${status}`];
}
