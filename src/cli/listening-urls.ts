import { type AdminAddress, adminGet, ready } from "../agent/envoy-admin.ts";
import type { RunningGateway } from "../gateway/gateway.ts";
import type { ListeningUrls } from "./in-effect.ts";

/** The addresses of an Envoy, as its admin interface says. */
export function envoyListening(admin: AdminAddress): ListeningUrls {
  return async (names) => {
    if (!(await ready(admin))) return undefined;
    const { listener_statuses: active = [] } = JSON.parse(
      await adminGet(admin, "/listeners?format=json"),
    ) as Listeners;
    if (!names.every((name) => active.some((listener) => listener.name === name))) return undefined;
    return active.map(
      ({ local_address: { socket_address: socket } }) => `${socket.address}:${socket.port_value}`,
    );
  };
}

interface Listeners {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: {
      readonly socket_address: { readonly address: string; readonly port_value: number };
    };
  }[];
}

/** The addresses of the embedded gateway, as it knows itself. */
export function embeddedListening(gateway: RunningGateway): ListeningUrls {
  return async (names) => {
    await gateway.settled();
    const { config, listeners } = gateway;
    if (!config || !names.every((name) => listeners.has(name))) return undefined;
    return [...listeners].map(([name, { port }]) => `${config.listeners.get(name)?.address ?? ""}:${port}`);
  };
}

/** Whether the embedded gateway has heard of its listeners and clusters and accepts connections at all of the former. */
export function isServing({ config, listeners }: RunningGateway): boolean {
  if (!config || config.received.listeners.version === "" || config.received.clusters.version === "")
    return false;
  return [...config.listeners.values()].every(({ name, bindsToPort }) => !bindsToPort || listeners.has(name));
}
