import type {
  FilterChainMatch,
  FilterChain as FilterChainMessage,
} from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import type { Listener as ListenerMessage } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { compileConnection } from "./compile-connection.ts";
import { readAddress } from "./compile-endpoints.ts";
import { compileDownstreamTls } from "./compile-tls.ts";
import { decodeAny } from "./decode-any.ts";
import { messageName } from "./filter-config.ts";
import type { FilterChain, HttpConnection, Listener } from "./gateway-config.ts";
import { refuse, within, withinEach } from "./refused-config.ts";

/** Compiles a listener: TCP with HTTP connection managers. */
export function compileListener(listener: ListenerMessage): Listener {
  refuseUnsupported(listener);
  const chains = withinEach("filter_chains", listener.filterChains, compileChain);
  const { defaultFilterChain } = listener;
  if (chains.length === 0 && !defaultFilterChain) {
    refuse("filter_chains", `error adding listener '${listener.name}': no filter chains specified`);
  }
  refuseSameMatches(chains);
  return {
    name: listener.name,
    ...within("address", () => readAddress(listener.address)),
    bufferLimitBytes: listener.perConnectionBufferLimitBytes ?? 1_048_576,
    chains,
    defaultChain:
      defaultFilterChain && within("default_filter_chain", () => compileChain(defaultFilterChain)),
    reusePort: listener.enableReusePort ?? true,
    bindsToPort: listener.bindToPort ?? true,
  };
}

const knownListenerFilters = new Set(["envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"]);

function refuseUnsupported(listener: ListenerMessage): void {
  if (listener.filterChainMatcher) refuse("filter_chain_matcher", "is not supported");
  if (listener.udpListenerConfig) refuse("udp_listener_config", "is not supported");
  if (listener.apiListener) refuse("api_listener", "is not supported");
  if (listener.useOriginalDst) refuse("use_original_dst", "is not supported");
  if (listener.additionalAddresses.length > 0) refuse("additional_addresses", "are not supported");
  withinEach("listener_filters", listener.listenerFilters, ({ name, configType: by }) => {
    const type = by.case === "typedConfig" ? messageName(by.value) : "";
    if (!knownListenerFilters.has(type))
      refuse("", `Didn't find a registered implementation for '${name}' with type URL: '${type}'`);
  });
}

function compileChain(chain: FilterChainMessage): FilterChain {
  const match = chain.filterChainMatch;
  if (match) within("filter_chain_match", () => refuseOtherCriteria(match));
  return {
    name: chain.name,
    serverNames: match?.serverNames.map((name) => name.toLowerCase()) ?? [],
    transportProtocol: match?.transportProtocol ?? "",
    tls: within("transport_socket", () => compileDownstreamTls(chain.transportSocket)),
    http: within("filters", () => compileNetworkFilters(chain)),
  };
}

function refuseOtherCriteria(match: FilterChainMatch): void {
  if (match.destinationPort !== undefined) refuse("destination_port", "is not supported");
  if (match.prefixRanges.length > 0) refuse("prefix_ranges", "is not supported");
  if (match.sourcePrefixRanges.length > 0) refuse("source_prefix_ranges", "is not supported");
  if (match.directSourcePrefixRanges.length > 0) refuse("direct_source_prefix_ranges", "is not supported");
  if (match.sourcePorts.length > 0) refuse("source_ports", "is not supported");
  if (match.sourceType !== 0) refuse("source_type", "is not supported");
  if (match.applicationProtocols.length > 0) refuse("application_protocols", "is not supported");
  for (const name of match.serverNames) {
    if (name.includes("*") && !/^\*\.[^*]+$/.test(name)) {
      refuse("server_names", `partial wildcards are not supported: ${name}`);
    }
  }
}

function compileNetworkFilters({ filters }: FilterChainMessage): HttpConnection {
  const [filter] = filters;
  if (!filter) return refuse("", "there is none; an HTTP connection manager is expected");
  if (filters.length > 1) return refuse("", "more than the HTTP connection manager is not supported");
  if (filter.configType.case !== "typedConfig") return refuse("[0].typed_config", "is required");
  const any = filter.configType.value;
  if (messageName(any) !== HttpConnectionManagerSchema.typeName) {
    return refuse(
      "[0].typed_config",
      `Didn't find a registered implementation for '${filter.name}' with type URL: '${messageName(any)}'`,
    );
  }
  return within("[0].typed_config", () => compileConnection(decodeAny(HttpConnectionManagerSchema, any)));
}

function refuseSameMatches(chains: readonly FilterChain[]): void {
  const seen = new Set<string>();
  for (const { serverNames, transportProtocol } of chains) {
    for (const name of serverNames.length === 0 ? [""] : serverNames) {
      const key = `${transportProtocol} ${name}`;
      if (seen.has(key)) {
        refuse(
          "filter_chains",
          `multiple filter chains with the same matching rules are defined${name && `: ${name}`}`,
        );
      }
      seen.add(key);
    }
  }
}
