import { jsonPage, type Page, type Pages, readyPage, servePages } from "../http-server.ts";
import { addressOf } from "./active-clusters.ts";
import type { RunningGateway } from "./gateway.ts";
import type { GatewaySnapshot } from "./gateway-snapshot.ts";

export interface AdminOptions {
  readonly gateway: RunningGateway;
  readonly bind: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly version: string;
  readonly nodeId: string;
  readonly signal: AbortSignal;
  /** Pages of others, such as `/config_dump`. */
  readonly pages?: Pages;
}

/** Serves Envoy's admin paths, as far as they are there: GET and HEAD only. Resolves with the port. */
export function serveAdmin({
  gateway,
  bind,
  port,
  version,
  nodeId,
  signal,
  pages,
}: AdminOptions): Promise<number> {
  const startedAt = Date.now();
  const state = () => (signal.aborted ? "DRAINING" : gateway.config ? "LIVE" : "INITIALIZING");
  return servePages({
    bind,
    port,
    signal,
    pages: {
      "/ready": () => (state() === "LIVE" ? { body: "LIVE\n" } : readyPage(false, state())),
      "/stats": (query) => statsPage(gateway, query.get("format")),
      "/stats/prometheus": () => statsPage(gateway, "prometheus"),
      "/listeners": (query) => listenersPage(gateway, query.get("format")),
      "/clusters": async () => ({ body: clusterLines(gateway, await gateway.snapshot()).join("") }),
      "/server_info": () =>
        jsonPage({
          version,
          state: state(),
          uptime_current_epoch: `${Math.floor((Date.now() - startedAt) / 1000)}s`,
          node: { id: nodeId },
        }),
      ...pages,
    },
  });
}

async function statsPage(gateway: RunningGateway, format: string | null): Promise<Page> {
  const { counters } = await gateway.snapshot();
  const values = Object.entries(counters).sort(([a], [b]) => (a < b ? -1 : 1));
  if (format === "json") return jsonPage({ stats: values.map(([name, value]) => ({ name, value })) });
  if (format !== "prometheus") return { body: values.map(([name, value]) => `${name}: ${value}\n`).join("") };
  return {
    type: "text/plain; version=0.0.4",
    body: values
      .map(([name, value]) => `# TYPE ${metricName(name)} counter\n${metricName(name)}{} ${value}\n`)
      .join(""),
  };
}

function metricName(name: string): string {
  return `envoy_${name.replace(/[^a-zA-Z0-9_]/g, "_")}`;
}

function listenersPage({ config, listeners }: RunningGateway, format: string | null): Page {
  const all = [...listeners].map(([name, { port }]) => ({
    name,
    address: config?.listeners.get(name)?.address ?? "",
    port,
  }));
  if (format !== "json")
    return { body: all.map((each) => `${each.name}::${each.address}:${each.port}\n`).join("") };
  const statuses = all.map(({ name, address, port }) => ({
    name,
    local_address: { socket_address: { address, port_value: port } },
  }));
  return jsonPage({ listener_statuses: statuses });
}

function clusterLines({ config: all }: RunningGateway, { uses }: GatewaySnapshot): string[] {
  return [...(all?.clusters ?? [])].flatMap(([name, config]) => {
    const hosts = config.endpoints.localities.flatMap(({ endpoints }) => endpoints);
    return [
      `${name}::default_priority::max_connections::${config.limits.maxConnections}\n`,
      `${name}::default_priority::max_pending_requests::${config.limits.maxPendingRequests}\n`,
      `${name}::default_priority::max_requests::${config.limits.maxRequests}\n`,
      `${name}::default_priority::max_retries::${config.limits.maxRetries}\n`,
      `${name}::rq_active::${uses[name]?.requests ?? 0}\n`,
      ...hosts.map((host) => `${name}::${addressOf(host)}::health_flags::${host.health}\n`),
    ];
  });
}
