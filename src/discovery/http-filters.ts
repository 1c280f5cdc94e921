import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ApiVersion, type ExtensionConfigSource } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { FilterChainConfigSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { FailStrategy, PluginPhase } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { compositeTypeUrl, filterChainTypeUrl, rbacTypeUrl, wasmTypeUrl } from "../xds/type-urls.ts";
import { extensionConfigName } from "./extension-configs.ts";
import { chainName } from "./filter-chains.ts";
import { type PluginsByPhase, runsAtPort } from "./select-plugins.ts";

/**
 * Which plugins let requests pass while they are not loaded: those that say FAIL_OPEN, or `always` all of them, in the
 * shape that Higress once gave every plugin.
 */
export type EcdsDefault = "fail-open" | "always";

/** The HTTP filters of a listener with a filter for each plugin. */
export function httpFilters(plugins: PluginsByPhase, port: number, ecdsDefault: EcdsDefault): HttpFilter[] {
  return inOrder((phase) =>
    plugins[phase]
      .filter((plugin) => runsAtPort(plugin, port))
      .map((plugin) => pluginFilter(plugin, ecdsDefault)),
  );
}

/** The HTTP filters of a listener with a filter for each phase, whatever the plugins are. */
export function chainFilters(port: number, ecdsDefault: EcdsDefault): HttpFilter[] {
  return inOrder((phase) => [chainFilter(phase, port, ecdsDefault)]);
}

/** The order of Higress' gateway. Authentication of Istio's own (between the first two phases) has no source here. */
function inOrder(filtersOf: (phase: PluginPhase) => readonly HttpFilter[]): HttpFilter[] {
  return [
    builtIn("envoy.filters.http.cors", CorsSchema),
    ...filtersOf(PluginPhase.AUTHN),
    ...filtersOf(PluginPhase.AUTHZ),
    builtIn("envoy.filters.http.rbac", RBACSchema),
    builtIn("envoy.filters.http.local_ratelimit", LocalRateLimitSchema, {
      statPrefix: "http_local_rate_limiter",
    }),
    ...filtersOf(PluginPhase.STATS),
    ...filtersOf(PluginPhase.UNSPECIFIED_PHASE),
    builtIn("envoy.filters.http.fault", HTTPFaultSchema),
    builtIn("envoy.filters.http.router", RouterSchema),
  ];
}

/** What the filters of a listener depend on of a plugin: while this is the same for all, the listener is the same. */
export function filterKey({ namespace, name, spec }: IstioConfig<"WasmPlugin">): string {
  return `${namespace}.${name} ${spec.phase} ${spec.failStrategy} ${JSON.stringify(spec.match)}`;
}

function builtIn<D extends DescMessage>(name: string, schema: D, init?: MessageInitShape<D>): HttpFilter {
  const config = anyPack(schema, create(schema, init));
  return create(HttpFilterSchema, { name, configType: { case: "typedConfig", value: config } });
}

function pluginFilter(plugin: IstioConfig<"WasmPlugin">, ecdsDefault: EcdsDefault): HttpFilter {
  const passThrough = anyPack(CompositeSchema, create(CompositeSchema));
  const failOpen = plugin.spec.failStrategy === FailStrategy.FAIL_OPEN;
  const shapes = {
    always: {
      defaultConfig: passThrough,
      applyDefaultConfigWithoutWarming: true,
      typeUrls: [wasmTypeUrl, compositeTypeUrl],
    },
    "fail-open": failOpen
      ? { defaultConfig: passThrough, typeUrls: [wasmTypeUrl, rbacTypeUrl, compositeTypeUrl] }
      : { typeUrls: [wasmTypeUrl, rbacTypeUrl] },
  };
  return slot(extensionConfigName(plugin), shapes[ecdsDefault]);
}

/** A chain's filters, and what stands in for them, are its own business: of its slot only the type is known here. */
function chainFilter(phase: PluginPhase, port: number, ecdsDefault: EcdsDefault): HttpFilter {
  const passThrough = anyPack(FilterChainConfigSchema, create(FilterChainConfigSchema));
  const shapes = {
    always: { defaultConfig: passThrough, applyDefaultConfigWithoutWarming: true },
    "fail-open": {},
  };
  return slot(chainName(phase, port), { ...shapes[ecdsDefault], typeUrls: [filterChainTypeUrl] });
}

/**
 * A slot that ECDS fills. It waits for its first configuration without a time limit: a listener that went live without
 * would answer 500.
 */
function slot(name: string, shape: SlotShape): HttpFilter {
  return create(HttpFilterSchema, {
    name,
    configType: {
      case: "configDiscovery",
      value: {
        ...shape,
        configSource: {
          configSourceSpecifier: { case: "ads", value: {} },
          initialFetchTimeout: { seconds: 0n },
          resourceApiVersion: ApiVersion.V3,
        },
      },
    },
  });
}

type SlotShape = Partial<
  Pick<ExtensionConfigSource, "defaultConfig" | "applyDefaultConfigWithoutWarming" | "typeUrls">
>;
