import type { Server } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { ServerTLSSettings_TLSmode as TlsMode } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { mapIncrementally } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import { type ProxyNode, selects } from "./proxy.ts";

/** One server of one Gateway. */
export interface GatewayServer {
  readonly gateway: IstioConfig<"Gateway">;
  readonly server: Server;
}

/** All servers of a gateway that share an address and port: one listener. */
export interface PortServers {
  readonly bind: string;
  readonly port: number;
  /** Plain HTTP, or HTTPS by the servers' names. */
  readonly tls: boolean;
  readonly servers: readonly GatewayServer[];
}

/** What a proxy listens on: the servers of the Gateways that select it, by address and port. */
export function serversByPort(gateways: readonly IstioConfig<"Gateway">[], proxy: ProxyNode): PortServers[] {
  return createServersByPort(proxy)(gateways);
}

/** The same for a stream of configurations: the servers of a Gateway are the same objects while it is. */
export function createServersByPort(
  proxy: ProxyNode,
): (gateways: readonly IstioConfig<"Gateway">[]) => PortServers[] {
  const place = mapIncrementally((gateway: IstioConfig<"Gateway">) =>
    selects(gateway.spec.selector, proxy) ? placeServers(gateway) : [],
  );
  return (gateways) => {
    const ports = new Map<string, GatewayServer[]>();
    for (const placed of place(gateways))
      for (const [key, server] of placed) {
        const servers = ports.get(key);
        if (servers) servers.push(server);
        else ports.set(key, [server]);
      }
    return [...ports.values()].map(toPort).sort((a, b) => a.port - b.port || (a.bind < b.bind ? -1 : 1));
  };
}

type PlacedServer = readonly [addressAndPort: string, server: GatewayServer];

function placeServers(gateway: IstioConfig<"Gateway">): readonly PlacedServer[] {
  return gateway.spec.servers.map((server) => [
    `${server.bind || "0.0.0.0"}_${server.port?.number ?? 0}`,
    { gateway, server },
  ]);
}

function toPort(servers: readonly GatewayServer[]): PortServers {
  const { server } = servers[0]!;
  const tls = isTls(server);
  return {
    bind: server.bind || "0.0.0.0",
    port: server.port?.number ?? 0,
    tls,
    // A port cannot be both: the first server decides, as in Istio.
    servers: servers.filter((other) => isTls(other.server) === tls),
  };
}

/** Whether the gateway itself ends TLS at this server. */
export function isTls({ tls }: Server): boolean {
  return (
    tls !== undefined && !tls.httpsRedirect && (tls.mode === TlsMode.SIMPLE || tls.mode === TlsMode.MUTUAL)
  );
}

/** The name of the routes of a port, Istio's: one table for all plain servers, one for each HTTPS server. */
export function routeName(port: PortServers, { gateway, server }: GatewayServer): string {
  if (!port.tls) return `http.${port.port}`;
  return `https.${port.port}.${server.port?.name}.${gateway.name}.${gateway.namespace}`;
}

/** The name of the SDS resource with a server's certificate, "" where it has none. */
export function credentialName({ server }: GatewayServer): string {
  return server.tls?.credentialName ?? "";
}
