import { VirtualHostSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { RouteConfiguration } from "../gen/envoy/config/route/v3/route_pb.ts";
import { compileTable, compileVirtualHost, type HostSettings, settingsOf } from "./compile-routes.ts";
import { decodeMessage } from "./decode-any.ts";
import { withinEach } from "./refused-config.ts";
import type { RouteTable, VirtualHost } from "./route-table.ts";

/** A table's virtual hosts by their bytes, as text of one character for each. */
interface CompiledHosts {
  readonly settings: HostSettings;
  readonly byBytes: ReadonlyMap<string, VirtualHost>;
}

const compiledHosts = new WeakMap<RouteTable, CompiledHosts>();

/**
 * Compiles a route configuration and its virtual hosts, which are encoded still. One with the same bytes as in `previous`
 * is the same object: an edit costs the hosts that it changes, and not the thousands beside them. Throws RefusedConfig.
 *
 * Unlike Envoy: such a host's token buckets go on as they were, since nobody changed them.
 */
export function compileRouteTable(
  table: RouteConfiguration,
  hosts: readonly Uint8Array[],
  previous: RouteTable | undefined,
): RouteTable {
  const settings = settingsOf(table);
  const known = hostsOf(previous, settings);
  const byBytes = new Map<string, VirtualHost>();
  const compiled = compileTable(table, () =>
    withinEach("virtual_hosts", hosts, (bytes) => {
      const key = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
      const host = known?.get(key) ?? compileVirtualHost(decodeMessage(VirtualHostSchema, bytes), settings);
      byBytes.set(key, host);
      return host;
    }),
  );
  compiledHosts.set(compiled, { settings, byBytes });
  return compiled;
}

/** What was compiled of a table's hosts, as far as it would be the same with these settings. */
function hostsOf(
  table: RouteTable | undefined,
  { maxDirectBody, ignorePathParameters }: HostSettings,
): CompiledHosts["byBytes"] | undefined {
  const known = table && compiledHosts.get(table);
  const isSame =
    known?.settings.maxDirectBody === maxDirectBody &&
    known.settings.ignorePathParameters === ignorePathParameters;
  return isSame ? known.byBytes : undefined;
}
