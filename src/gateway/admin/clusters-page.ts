import { jsonPage, type Page } from "../../http-server.ts";
import type { CircuitLimits, Cluster, Endpoint, Locality } from "../cluster-config.ts";
import { addressOf } from "../endpoint-address.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import type { GatewaySnapshot, HostStatus } from "../gateway-snapshot.ts";
import { createHostStats } from "../stats/cluster-stats.ts";
import { compileFilter } from "./stats-page.ts";

/** `/clusters`: limits, and each endpoint with its figures and its health. */
export function clustersPage(query: URLSearchParams, config: GatewayConfig, status: GatewaySnapshot): Page {
  const filter = compileFilter(query.get("filter") ?? "");
  if ("body" in filter) return filter;
  const clusters = [...config.clusters.values()].filter(({ name }) => filter.matcher(name).find());
  const hostsOf = (cluster: Cluster) => readHosts(cluster, status);
  if (query.get("format") !== "json")
    return { body: clusters.flatMap((cluster) => clusterLines(cluster, hostsOf(cluster))).join("") };
  return jsonPage({ cluster_statuses: clusters.map((cluster) => clusterJson(cluster, hostsOf(cluster))) });
}

interface Host {
  readonly endpoint: Endpoint;
  readonly locality: Locality;
  readonly status: HostStatus;
}

const unused: HostStatus = { ...createHostStats(), isEjected: false };

function readHosts({ name, endpoints }: Cluster, { hosts }: GatewaySnapshot): Host[] {
  return endpoints.localities.flatMap((locality) =>
    locality.endpoints.map((endpoint) => ({
      endpoint,
      locality,
      status: hosts[name]?.[addressOf(endpoint)] ?? unused,
    })),
  );
}

function clusterLines(cluster: Cluster, hosts: readonly Host[]): string[] {
  const { name, statName, limits, highPriorityLimits, outlierDetection } = cluster;
  const line = (...parts: readonly (string | number | boolean)[]) => `${[name, ...parts].join("::")}\n`;
  return [
    line("observability_name", statName),
    ...(outlierDetection ? outlierFields.map((field) => line("outlier", field, -1)) : []),
    ...limitFields(limits).map(([field, value]) => line("default_priority", field, value)),
    ...limitFields(highPriorityLimits).map(([field, value]) => line("high_priority", field, value)),
    line("added_via_api", true),
    ...hosts.flatMap((host) =>
      hostFields(host).map(([field, value]) => line(addressOf(host.endpoint), field, value)),
    ),
  ];
}

/** Success rates are not looked at. */
const outlierFields = [
  "success_rate_average",
  "success_rate_ejection_threshold",
  "local_origin_success_rate_average",
  "local_origin_success_rate_ejection_threshold",
];

function limitFields(limits: CircuitLimits): [field: string, value: number][] {
  return [
    ["max_connections", limits.maxConnections],
    ["max_pending_requests", limits.maxPendingRequests],
    ["max_requests", limits.maxRequests],
    ["max_retries", limits.maxRetries],
  ];
}

function hostFields({
  endpoint,
  locality,
  status,
}: Host): [field: string, value: string | number | boolean][] {
  return [
    ["cx_active", status.cx_active],
    ["cx_connect_fail", status.cx_connect_fail],
    ["cx_total", status.cx_total],
    ["rq_active", status.rq_active],
    ["rq_error", status.rq_error],
    ["rq_pending_active", 0],
    ["rq_success", status.rq_success],
    ["rq_timeout", status.rq_timeout],
    ["rq_total", status.rq_total],
    ["hostname", endpoint.hostname],
    ["health_flags", healthFlags(endpoint, status)],
    ["weight", endpoint.weight],
    ["region", locality.region],
    ["zone", locality.zone],
    ["sub_zone", locality.subZone],
    ["canary", false],
    ["priority", locality.priority],
    ["success_rate", -1],
    ["local_origin_success_rate", -1],
  ];
}

/** As Envoy writes them, for what control planes say and for ejection. */
const edsFlags: Readonly<Record<Endpoint["health"], string>> = {
  healthy: "",
  degraded: "/degraded_eds_health",
  unhealthy: "/failed_eds_health",
  draining: "/eds_status_draining",
};

function healthFlags({ health }: Endpoint, { isEjected }: HostStatus): string {
  return `${isEjected ? "/failed_outlier_check" : ""}${edsFlags[health]}` || "healthy";
}

function clusterJson(cluster: Cluster, hosts: readonly Host[]): object {
  const thresholds = (limits: CircuitLimits) =>
    Object.fromEntries(limitFields(limits).filter(([, value]) => value > 0));
  return {
    name: cluster.name,
    added_via_api: true,
    ...(hosts.length > 0 && { host_statuses: hosts.map(hostJson) }),
    circuit_breakers: {
      thresholds: [
        thresholds(cluster.limits),
        { priority: "HIGH", ...thresholds(cluster.highPriorityLimits) },
      ],
    },
    observability_name: cluster.statName,
    ...(cluster.discovery === "eds" &&
      cluster.assignmentName !== cluster.name && { eds_service_name: cluster.assignmentName }),
  };
}

const counters = ["cx_connect_fail", "cx_total", "rq_error", "rq_success", "rq_timeout", "rq_total"] as const;
const gauges = ["cx_active", "rq_active"] as const;

/** As proto3 JSON: what is 0 or empty is left out. */
function hostJson({ endpoint, locality, status }: Host): object {
  const { address, port, hostname, weight } = endpoint;
  const value = (figure: number) => (figure === 0 ? {} : { value: String(figure) });
  return {
    address: port === 0 ? { pipe: { path: address } } : { socket_address: { address, port_value: port } },
    stats: [
      ...counters.map((name) => ({ ...value(status[name]), name })),
      ...gauges.map((name) => ({ type: "GAUGE", ...value(status[name]), name })),
      { type: "GAUGE", name: "rq_pending_active" },
    ],
    health_status: {
      ...(status.isEjected && { failed_outlier_check: true }),
      eds_health_status: endpoint.health.toUpperCase(),
    },
    weight,
    ...(hostname !== "" && { hostname }),
    ...(locality.priority > 0 && { priority: locality.priority }),
    locality: {
      ...(locality.region !== "" && { region: locality.region }),
      ...(locality.zone !== "" && { zone: locality.zone }),
      ...(locality.subZone !== "" && { sub_zone: locality.subZone }),
    },
  };
}
