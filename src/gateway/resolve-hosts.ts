import { lookup, Resolver } from "node:dns/promises";
import { isIP } from "node:net";
import type { Cluster, Endpoint, Endpoints } from "./cluster-config.ts";

/** An address of a name, with how long it may be kept, in seconds; without one, as long as the cluster says. */
export interface ResolvedAddress {
  readonly address: string;
  readonly ttl?: number;
}

/** Resolves a name. Rejects where that fails. */
export type ResolveName = (name: string, family: Cluster["dnsFamily"]) => Promise<readonly ResolvedAddress[]>;

export interface ResolveHostsOptions {
  readonly cluster: Cluster;
  readonly signal: AbortSignal;
  /** Gets the cluster with its addresses, whenever they change. */
  readonly onChange: (cluster: Cluster) => void;
  /** All names have been asked for, whatever came of it; each time. */
  readonly onAnswer?: () => void;
  readonly resolve?: ResolveName;
}

/** Not more often than this, whatever the time to live, in milliseconds. */
const minRefreshMs = 100;

/**
 * Follows the addresses of a STRICT_DNS or LOGICAL_DNS cluster until the signal aborts. A name that cannot be resolved
 * keeps the addresses that it had.
 */
export function resolveHosts({
  cluster,
  signal,
  onChange,
  onAnswer,
  resolve = resolveName,
}: ResolveHostsOptions): void {
  const known = new Map<string, readonly string[]>();
  let last = "[]";
  let timer: NodeJS.Timeout | undefined;
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  const refresh = async () => {
    const names = new Set(endpointsOf(cluster.endpoints).map(({ address }) => address));
    let ttlMs = Number.POSITIVE_INFINITY;
    await Promise.all(
      [...names].map(async (name) => {
        const found = await resolveOne(name, cluster, resolve);
        if (!found) return;
        known.set(name, found.map(({ address }) => address).sort());
        for (const { ttl } of found) if (ttl !== undefined) ttlMs = Math.min(ttlMs, ttl * 1000);
      }),
    );
    if (signal.aborted) return;
    const now = JSON.stringify([...known].sort());
    if (now !== last) onChange({ ...cluster, endpoints: withAddresses(cluster, known) });
    last = now;
    onAnswer?.();
    const delay = cluster.respectDnsTtl && ttlMs !== Number.POSITIVE_INFINITY ? ttlMs : cluster.dnsRefreshMs;
    timer = setTimeout(() => void refresh(), Math.max(delay, minRefreshMs));
    timer.unref();
  };
  if (!signal.aborted) void refresh();
}

async function resolveOne(
  name: string,
  { dnsFamily }: Cluster,
  resolve: ResolveName,
): Promise<readonly ResolvedAddress[] | undefined> {
  if (isIP(name)) return [{ address: name }];
  try {
    return await resolve(name, dnsFamily);
  } catch {
    return undefined;
  }
}

function endpointsOf({ localities }: Endpoints): Endpoint[] {
  return localities.flatMap(({ endpoints }) => endpoints);
}

/** Each endpoint for each of its addresses; of LOGICAL_DNS, the first only. */
function withAddresses(
  { endpoints, discovery }: Cluster,
  addresses: ReadonlyMap<string, readonly string[]>,
): Endpoints {
  const limit = discovery === "logical_dns" ? 1 : undefined;
  return {
    ...endpoints,
    localities: endpoints.localities.map((locality) => ({
      ...locality,
      endpoints: locality.endpoints.flatMap((endpoint) =>
        (addresses.get(endpoint.address) ?? [])
          .slice(0, limit)
          .map((address) => ({ ...endpoint, address, hostname: endpoint.hostname || endpoint.address })),
      ),
    })),
  };
}

/** By DNS, and by /etc/hosts where DNS does not know a name. */
async function resolveName(name: string, family: Cluster["dnsFamily"]): Promise<readonly ResolvedAddress[]> {
  const resolver = new Resolver({ timeout: 5000, tries: 2 });
  const v4 = () => resolver.resolve4(name, { ttl: true });
  const v6 = () => resolver.resolve6(name, { ttl: true });
  try {
    if (family === "v4") return await v4();
    if (family === "v6") return await v6();
    if (family === "all") return (await Promise.all([v4().catch(() => []), v6().catch(() => [])])).flat();
    // As in Envoy, `auto` asks for IPv6 first.
    const [first, second] = family === "v4_preferred" ? [v4, v6] : [v6, v4];
    const found = await first().catch(() => []);
    return found.length > 0 ? found : await second();
  } catch {
    return lookup(name, { all: true, family: family === "v4" ? 4 : family === "v6" ? 6 : 0 });
  }
}
