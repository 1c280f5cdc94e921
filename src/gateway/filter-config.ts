import type { Any } from "@bufbuild/protobuf/wkt";
import type { TypedExtensionConfig } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { FilterChainConfigSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { decodeAny } from "./decode-any.ts";
import { compileFault } from "./filters/fault.ts";
import { compileRateLimit } from "./filters/local-ratelimit.ts";
import { compileRbac } from "./filters/rbac.ts";
import type { FilterConfig } from "./gateway-config.ts";
import { refuse, withinEach } from "./refused-config.ts";

/** Name of the message in an `Any`. */
export function messageName({ typeUrl }: Any): string {
  return typeUrl.slice(typeUrl.lastIndexOf("/") + 1);
}

/** The filters that a chain holds may hold chains; not without end. */
const maxDepth = 8;

/**
 * Decodes a filter's configuration. Filters of a chain that `previous` has with the same bytes stay the same objects: a
 * changed filter is then the only one that is set up again.
 */
export function decodeFilter(name: string, any: Any, previous?: FilterConfig, depth = 0): FilterConfig {
  if (depth > maxDepth) refuse("", `filter chains are nested more than ${maxDepth} deep`);
  const decode = decoders[messageName(any)];
  if (!decode) {
    return refuse(
      "",
      `Didn't find a registered implementation for '${name}' with type URL: '${messageName(any)}'`,
    );
  }
  const config = decode(name, any, previous, depth);
  bytesOf.set(config, any);
  return config;
}

/**
 * What every istiod puts into a gateway's chain: it counts gRPC calls, and does nothing to them.
 * Unlike Envoy: it counts none here; a gateway that refused its listener for that would serve nothing behind an istiod.
 */
const grpcStats = "envoy.extensions.filters.http.grpc_stats.v3.FilterConfig";

type Decode = (name: string, any: Any, previous: FilterConfig | undefined, depth: number) => FilterConfig;

const decoders: Readonly<Record<string, Decode>> = {
  [WasmSchema.typeName]: (name, any) => {
    const config = decodeAny(WasmSchema, any);
    if (!config.config) refuse("config", "is required");
    return { kind: "wasm", name, config };
  },
  [RBACSchema.typeName]: (name, any) => ({
    kind: "rbac",
    name,
    test: compileRbac(decodeAny(RBACSchema, any)),
  }),
  [CorsSchema.typeName]: (name, any) => ({ kind: "cors", name, config: decodeAny(CorsSchema, any) }),
  [LocalRateLimitSchema.typeName]: (name, any) => ({
    kind: "local_ratelimit",
    name,
    limit: compileRateLimit(decodeAny(LocalRateLimitSchema, any)),
  }),
  [HTTPFaultSchema.typeName]: (name, any) => ({
    kind: "fault",
    name,
    fault: compileFault(decodeAny(HTTPFaultSchema, any)),
  }),
  [CompositeSchema.typeName]: (name, any) => ({
    kind: "composite",
    name,
    config: decodeAny(CompositeSchema, any),
  }),
  [RouterSchema.typeName]: (name, any) => ({ kind: "router", name, config: decodeAny(RouterSchema, any) }),
  [grpcStats]: (name) => ({ kind: "chain", name, filters: [] }),
  [FilterChainConfigSchema.typeName]: (name, any, previous, depth) => {
    const { defaultFilterChain } = decodeAny(FilterChainConfigSchema, any);
    const known = previous?.kind === "chain" ? previous.filters : [];
    return {
      kind: "chain",
      name,
      filters: decodeFilters(defaultFilterChain?.filters ?? [], known, depth + 1),
    };
  },
};

/** What configurations were decoded from. */
const bytesOf = new WeakMap<FilterConfig, Any>();

/** Decodes the filters of a chain, in order. */
export function decodeFilters(
  filters: readonly TypedExtensionConfig[],
  previous: readonly FilterConfig[] = [],
  depth = 1,
): FilterConfig[] {
  const known = new Map(previous.map((filter) => [filter.name, filter]));
  return withinEach("filters", filters, ({ name, typedConfig }) => {
    if (!typedConfig) return refuse("typed_config", "is required");
    const before = known.get(name);
    const bytes = before && bytesOf.get(before);
    const same =
      bytes?.typeUrl === typedConfig.typeUrl && Buffer.compare(bytes.value, typedConfig.value) === 0;
    return before && same ? before : decodeFilter(name, typedConfig, before, depth);
  });
}

/** The types that filters here have. */
export const filterTypeUrls: ReadonlySet<string> = new Set(
  Object.keys(decoders).map((name) => `type.googleapis.com/${name}`),
);

export function isKnownFilter(any: Any): boolean {
  return decoders[messageName(any)] !== undefined;
}
