import type { HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { ActiveCluster, PoolDemand } from "./active-cluster.ts";
import type { Downstream } from "./downstream.ts";
import { addressOf } from "./endpoint-address.ts";
import type { ForwardAction } from "./route-table.ts";

/** What connection a request needs; undefined where any to the cluster will do. */
export function demandOf(
  { config }: ActiveCluster,
  { priority }: ForwardAction,
  { protocol }: Downstream,
  headers: HeaderMap,
): PoolDemand | undefined {
  const autoSni = config.tls?.autoSni ?? false;
  if (priority === "default" && !autoSni && config.protocol !== "downstream") return undefined;
  const serverName = autoSni ? headers.get(":authority")?.replace(/:\d+$/, "") : undefined;
  return { priority, serverName, protocol: protocol === "HTTP/2" ? "http2" : "http1" };
}

/** Higress: the endpoints of a cluster, each with what is known of it. */
export function upstreamHosts(cluster: ActiveCluster | undefined): HeaderLine[] {
  const localities = cluster?.config.endpoints.localities ?? [];
  return localities.flatMap(({ endpoints }) =>
    endpoints.map(
      (endpoint): HeaderLine => [addressOf(endpoint), JSON.stringify({ weight: endpoint.weight })],
    ),
  );
}
