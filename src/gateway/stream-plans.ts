import { createCorsFilter } from "./filters/cors.ts";
import { createDenyFilter } from "./filters/deny.ts";
import { createFaultFilter } from "./filters/fault.ts";
import { createLocalRateLimitFilter } from "./filters/local-ratelimit.ts";
import type { StreamFilter } from "./filters/native-filter.ts";
import { createRbacFilter } from "./filters/rbac.ts";
import { createSwitchable } from "./filters/switchable.ts";
import type {
  FilterConfig,
  GatewayConfig,
  HttpConnection,
  HttpFilterSlot,
  Listener,
} from "./gateway-config.ts";
import { gatewayReply } from "./local-replies.ts";
import type { PluginRegistry, WasmFilterConfig } from "./plugin-registry.ts";
import type { RouterOptions } from "./request-policy.ts";
import { mentionsOf } from "./route-filters.ts";
import type { RouteTable } from "./route-table.ts";
import { addressInNames } from "./stats/listener-stats.ts";
import type { StreamPlan } from "./stream-plan.ts";

/** What stands at a place of the filters; undefined where nothing is known of it yet. */
export function slotConfig(slot: HttpFilterSlot, config: GatewayConfig): FilterConfig | undefined {
  if (slot.kind === "inline") return slot.config;
  return config.extensionConfigs.get(slot.name) ?? slot.defaultConfig;
}

/** The plugins of a configuration, in effect or soon: those of listeners, and those of the places that ECDS fills. */
export function* wasmConfigs(config: GatewayConfig): Iterable<WasmFilterConfig> {
  for (const listener of config.listeners.values()) yield* wasmConfigsOf(listener);
  for (const listener of config.warmingListeners.values()) yield* wasmConfigsOf(listener);
  for (const filter of config.extensionConfigs.values()) yield* wasmOf(filter);
}

/** The plugins that streams at a filter chain meet. */
export function wasmOfConnection(http: HttpConnection, config: GatewayConfig): WasmFilterConfig[] {
  return http.filters.flatMap((slot) => {
    const filter = slotConfig(slot, config);
    return filter ? [...wasmOf(filter)] : [];
  });
}

/** The plugins that a listener brings itself: inline, or as defaults. */
export function* wasmConfigsOf(listener: Listener): Iterable<WasmFilterConfig> {
  for (const http of httpConnections(listener))
    for (const slot of http.filters) {
      const filter = slot.kind === "inline" ? slot.config : slot.defaultConfig;
      if (filter) yield* wasmOf(filter);
    }
}

function* httpConnections({ chains, defaultChain }: Listener): Iterable<HttpConnection> {
  for (const { http } of chains) yield http;
  if (defaultChain) yield defaultChain.http;
}

/** The plugins of a filter: it is one, or a chain of some. */
export function* wasmOf(filter: FilterConfig): Iterable<WasmFilterConfig> {
  if (filter.kind === "wasm") yield filter;
  else if (filter.kind === "chain") for (const each of filter.filters) yield* wasmOf(each);
}

const notReady = gatewayReply(500, "", "no_filter_config_available", "NFCF");

/** Makes the filters of a place. A plugin that does not run refuses every request. */
export interface FilterMaker {
  make(filter: FilterConfig, table: RouteTable | undefined): readonly StreamFilter[];
}

export function createFilterMaker(plugins: PluginRegistry): FilterMaker {
  return { make };

  function make(filter: FilterConfig, table: RouteTable | undefined): readonly StreamFilter[] {
    const isMentioned = (name: string) => mentionsOf(table).has(name);
    switch (filter.kind) {
      case "wasm":
        return [plugins.find(filter) ?? createDenyFilter(notReady)];
      case "chain":
        return filter.filters.flatMap((each) => make(each, table));
      case "rbac":
        return filter.test || isMentioned(filter.name) ? [createRbacFilter(filter.name, filter.test)] : [];
      case "cors":
        return isMentioned(filter.name) ? [createCorsFilter(filter.name)] : [];
      case "local_ratelimit":
        return filter.limit || isMentioned(filter.name)
          ? [createLocalRateLimitFilter(filter.name, filter.limit)]
          : [];
      case "fault":
        return filter.fault.abort || filter.fault.delay || isMentioned(filter.name)
          ? [createFaultFilter(filter.name, filter.fault)]
          : [];
      case "composite":
      case "router":
        return [];
    }
  }
}

/** What a stream at a filter chain of a listener runs by. */
export function planStreams(
  listener: Listener,
  chainName: string,
  http: HttpConnection,
  config: GatewayConfig,
  maker: FilterMaker,
): StreamPlan {
  const table = http.routes.kind === "table" ? http.routes.table : config.routes.get(http.routes.name);
  const filters = http.filters.flatMap((slot) => {
    const filter = slotConfig(slot, config);
    const made = filter ? maker.make(filter, table) : [createDenyFilter(notReady)];
    return switched(made, slot, mentionsOf(table).get(slot.name));
  });
  return {
    http,
    filters,
    hasNative: filters.some((filter) => "createFor" in filter),
    hasSwitches: http.filters.some(
      ({ name, disabled }) => disabled || mentionsOf(table).get(name)?.has("disabled"),
    ),
    bufferLimitBytes: listener.bufferLimitBytes,
    table,
    router: routerOptions(http),
    names: {
      listener: listener.name,
      address: addressInNames(listener.address, listener.port),
      filterChain: chainName,
    },
  };
}

function routerOptions({ filters }: HttpConnection): RouterOptions {
  const last = filters.at(-1);
  const router = last?.kind === "inline" && last.config.kind === "router" ? last.config.config : undefined;
  return {
    suppressEnvoyHeaders: router?.suppressEnvoyHeaders ?? false,
    respectExpectedTimeout: router?.respectExpectedRqTimeout ?? false,
  };
}

/** What a route can switch on or off is asked for each stream; what none does is there, or is not. */
function switched(
  filters: readonly StreamFilter[],
  { name, disabled }: HttpFilterSlot,
  mentions: ReadonlySet<string> | undefined,
): readonly StreamFilter[] {
  if (!mentions) return disabled ? [] : filters;
  if (!disabled && !mentions.has("disabled")) return filters;
  return filters.map((filter) => createSwitchable(filter, name, !disabled));
}
