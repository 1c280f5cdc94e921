import type { Any } from "@bufbuild/protobuf/wkt";
import { FilterConfigSchema } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { CorsPolicySchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { FilterChainConfigPerRouteSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACPerRouteSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { decodeAny } from "./decode-any.ts";
import { messageName } from "./filter-config.ts";
import { compileCors } from "./filters/cors.ts";
import { compileFault } from "./filters/fault.ts";
import { compileRateLimit } from "./filters/local-ratelimit.ts";
import { compileRbac } from "./filters/rbac.ts";
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
      // An empty one says no more than that the filter runs.
      if (!wrapped.config || wrapped.config.typeUrl === "") return { kind: "enabled" };
      return decodePerFilter(name, wrapped.config, wrapped.isOptional);
    }
    case CorsPolicySchema.typeName:
      return { kind: "cors", config: compileCors(decodeAny(CorsPolicySchema, any)) };
    case RBACPerRouteSchema.typeName: {
      const { rbac } = decodeAny(RBACPerRouteSchema, any);
      return { kind: "rbac", test: rbac && compileRbac(rbac) };
    }
    case LocalRateLimitSchema.typeName:
      return { kind: "local_ratelimit", config: compileRateLimit(decodeAny(LocalRateLimitSchema, any)) };
    case HTTPFaultSchema.typeName:
      return { kind: "fault", config: compileFault(decodeAny(HTTPFaultSchema, any)) };
    case FilterChainConfigPerRouteSchema.typeName:
      return refuse("", "a filter chain of a route's own is not supported");
    default:
      if (optional) return undefined;
      return refuse(
        "",
        `Didn't find a registered implementation for '${name}' with type URL: '${messageName(any)}'`,
      );
  }
}
