import { jsonPage, type Page, type Pages, readyPage, servePages } from "../http-server.ts";
import { addressOf } from "./endpoint-address.ts";
import type { Gateway } from "./gateway.ts";

export interface AdminOptions {
  readonly gateway: Gateway;
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
      "/clusters": () => ({ body: clusterLines(gateway).join("") }),
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

function statsPage({ stats }: Gateway, format: string | null): Page {
  const values = stats.read();
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

function listenersPage({ config, listeners }: Gateway, format: string | null): Page {
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

function clusterLines({ clusters }: Gateway): string[] {
  return [...clusters.all].flatMap(([name, { config, use }]) => {
    const hosts = config.endpoints.localities.flatMap(({ endpoints }) => endpoints);
    return [
      `${name}::default_priority::max_connections::${config.limits.maxConnections}\n`,
      `${name}::default_priority::max_pending_requests::${config.limits.maxPendingRequests}\n`,
      `${name}::default_priority::max_requests::${config.limits.maxRequests}\n`,
      `${name}::default_priority::max_retries::${config.limits.maxRetries}\n`,
      `${name}::rq_active::${use.requests}\n`,
      ...hosts.map((host) => `${name}::${addressOf(host)}::health_flags::${host.health}\n`),
    ];
  });
}
