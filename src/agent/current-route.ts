import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { type Any, anyIs, anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import type { FilterChain } from "../gen/envoy/config/listener/v3/listener_components_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import {
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { wasmTypeUrl } from "../xds/type-urls.ts";

/** The name of the filters that `withCurrentRoute` adds. */
export const currentRouteName = "wasmline.current-route";

/**
 * A filter that does nothing but look whether the route has settings for it. Envoy forgets the route when a plugin
 * changes a header, and until somebody asks for the new one, plugins read the old one's name; no function that Envoy
 * gives to modules asks. Higress' Envoy does so whenever a plugin reads the name.
 */
export const currentRouteFilter: HttpFilter = create(HttpFilterSchema, {
  name: currentRouteName,
  configType: { case: "typedConfig", value: anyPack(RBACSchema, create(RBACSchema)) },
});

/** The same as a filter of a filter chain, encoded. */
export const currentRouteConfig: Uint8Array = toBinary(
  TypedExtensionConfigSchema,
  create(TypedExtensionConfigSchema, {
    name: currentRouteName,
    typedConfig: anyPack(RBACSchema, create(RBACSchema)),
  }),
);

/**
 * A listener in which plugins read the name of the route that plugins before them made of it: where a plugin's filter
 * follows one that may change the route, the current route is looked up between. What is no listener, or needs nothing,
 * stays the same bytes.
 */
// Unlike Istio: its listeners leave it to Envoy when the route is looked up.
export function withCurrentRoute(bytes: Uint8Array): Uint8Array {
  try {
    const listener = fromBinary(ListenerSchema, bytes);
    const { filterChains, defaultFilterChain } = listener;
    const changes = [...filterChains, ...(defaultFilterChain ? [defaultFilterChain] : [])].map(addToChain);
    return changes.includes(true) ? toBinary(ListenerSchema, listener) : bytes;
  } catch {
    // What cannot be read here, Envoy refuses itself, and says why.
    return bytes;
  }
}

/** Says whether it changed something. */
function addToChain({ filters }: FilterChain): boolean {
  let isChanged = false;
  for (const { configType } of filters) {
    if (configType.case !== "typedConfig") continue;
    const connections = anyUnpack(configType.value, HttpConnectionManagerSchema);
    const httpFilters = connections && addBetween(connections.httpFilters);
    if (!connections || httpFilters?.length === connections.httpFilters.length) continue;
    configType.value = anyPack(HttpConnectionManagerSchema, { ...connections, httpFilters: httpFilters! });
    isChanged = true;
  }
  return isChanged;
}

function addBetween(filters: readonly HttpFilter[]): HttpFilter[] {
  return filters.flatMap((filter, index) => {
    const before = filters[index - 1];
    return before && takesPlugin(filter) && !leavesCurrentRoute(before)
      ? [currentRouteFilter, filter]
      : [filter];
  });
}

function takesPlugin({ configType }: HttpFilter): boolean {
  return configType.case === "configDiscovery" && configType.value.typeUrls.includes(wasmTypeUrl);
}

/** These look the route up, and change nothing. */
function leavesCurrentRoute({ configType }: HttpFilter): boolean {
  const isOf = (any: Any) => anyIs(any, RBACSchema) || anyIs(any, CorsSchema);
  return configType.case === "typedConfig" && isOf(configType.value);
}
