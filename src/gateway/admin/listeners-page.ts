import { jsonPage, type Page } from "../../http-server.ts";
import { hostPort } from "../endpoint-address.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import type { GatewaySnapshot } from "../gateway-snapshot.ts";

/** `/listeners`: those that are open, with the addresses that they have. */
export function listenersPage(query: URLSearchParams, config: GatewayConfig, status: GatewaySnapshot): Page {
  const all = Object.entries(status.listeners).map(([name, { port }]) => ({
    name,
    address: config.listeners.get(name)?.address ?? "",
    port,
  }));
  if (query.get("format") !== "json")
    return { body: all.map(({ name, address, port }) => `${name}::${hostPort(address, port)}\n`).join("") };
  return jsonPage({
    listener_statuses: all.map(({ name, address, port }) => ({
      name,
      local_address: { socket_address: { address, port_value: port } },
    })),
  });
}
