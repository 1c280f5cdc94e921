import { jsonPage, type Page } from "../../http-server.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import { referencesOfCluster, referencesOfListener } from "../references.ts";

/** `/init_dump`: listeners and clusters that wait, and for what. */
export function initDumpPage(query: URLSearchParams, config: GatewayConfig): Page {
  const { received, warmingListeners, warmingClusters } = config;
  const isWanted = (component: string) => (query.get("mask") ?? component) === component;
  const absent = (names: ReadonlySet<string>, key: keyof GatewayConfig["received"], prefix: string) =>
    [...names].filter((name) => !received[key].accepted.has(name)).map((name) => `${prefix} ${name}`);
  const listeners = [...warmingListeners.values()].map((listener) => {
    const { routes, secrets, extensionConfigs } = referencesOfListener(listener);
    const waitsFor = [
      ...absent(routes, "routes", "RdsRouteConfigSubscription RDS local-init-target"),
      ...absent(secrets, "secrets", "SdsApi"),
      ...absent(extensionConfigs, "extensionConfigs", "FilterConfigSubscription init"),
    ];
    return { name: `init manager Listener-local-init-manager ${listener.name}`, target_names: waitsFor };
  });
  const clusters = [...warmingClusters.values()].map((cluster) => {
    const { endpoints, secrets } = referencesOfCluster(cluster);
    const waitsFor = [...absent(endpoints, "endpoints", "EDS"), ...absent(secrets, "secrets", "SdsApi")];
    return { name: `init manager Cluster ${cluster.name}`, target_names: waitsFor };
  });
  const dumps = [...(isWanted("listener") ? listeners : []), ...(isWanted("cluster") ? clusters : [])];
  return jsonPage(dumps.length === 0 ? {} : { unready_targets_dumps: dumps });
}
