import type { Any } from "@bufbuild/protobuf/wkt";
import { CorsPolicySchema, FilterConfigSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { FilterChainConfigPerRouteSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACPerRouteSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { decodeAny } from "./decode-any.ts";
import { decodeFilters, messageName } from "./filter-config.ts";
import { refuse, within } from "./refused-config.ts";
import type { PerFilter, PerFilterConfig } from "./route-table.ts";

/** Decodes `typed_per_filter_config`. What is marked optional and not known here is left out. */
export function compilePerFilter(configs: Readonly<Record<string, Any>>): PerFilter {
  const compiled = new Map<string, PerFilterConfig>();
  for (const [name, any] of Object.entries(configs)) {
    const config = within(`typed_per_filter_config["${name}"]`, () => decodePerFilter(name, any, false));
    if (config) compiled.set(name, config);
  }
  return compiled;
}

function decodePerFilter(name: string, any: Any, optional: boolean): PerFilterConfig | undefined {
  switch (messageName(any)) {
    case FilterConfigSchema.typeName: {
      const wrapped = decodeAny(FilterConfigSchema, any);
      if (wrapped.disabled) return { kind: "disabled" };
      return wrapped.config ? decodePerFilter(name, wrapped.config, wrapped.isOptional) : undefined;
    }
    case CorsPolicySchema.typeName:
      return { kind: "cors", config: decodeAny(CorsPolicySchema, any) };
    case RBACPerRouteSchema.typeName:
      return { kind: "rbac", config: decodeAny(RBACPerRouteSchema, any) };
    case LocalRateLimitSchema.typeName:
      return { kind: "local_ratelimit", config: decodeAny(LocalRateLimitSchema, any) };
    case HTTPFaultSchema.typeName:
      return { kind: "fault", config: decodeAny(HTTPFaultSchema, any) };
    case FilterChainConfigPerRouteSchema.typeName: {
      const { filterChain } = decodeAny(FilterChainConfigPerRouteSchema, any);
      return { kind: "chain", filters: decodeFilters(filterChain?.filters ?? []) };
    }
    default:
      if (optional) return undefined;
      return refuse(
        "",
        `Didn't find a registered implementation for '${name}' with type URL: '${messageName(any)}'`,
      );
  }
}
