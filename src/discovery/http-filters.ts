import { create, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { ApiVersion } from "../gen/envoy/config/core/v3/config_source_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { LocalRateLimitSchema } from "../gen/envoy/extensions/filters/http/local_ratelimit/v3/local_rate_limit_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { FailStrategy, PluginPhase } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { compositeTypeUrl, rbacTypeUrl, wasmTypeUrl } from "../xds/type-urls.ts";
import { extensionConfigName } from "./extension-configs.ts";
import { type PluginsByPhase, runsAtPort } from "./select-plugins.ts";

/**
 * Which plugins let requests pass while they are not loaded: those that say FAIL_OPEN, or `always` all of them, in the
 * shape that Higress once gave every plugin.
 */
export type EcdsDefault = "fail-open" | "always";

/** The HTTP filters of a listener, in the order of Higress' gateway. Authentication of Istio's own (between the first two phases) has no source here. */
export function httpFilters(plugins: PluginsByPhase, port: number, ecdsDefault: EcdsDefault): HttpFilter[] {
  const phase = (name: PluginPhase) =>
    plugins[name]
      .filter((plugin) => runsAtPort(plugin, port))
      .map((plugin) => pluginFilter(plugin, ecdsDefault));
  return [
    builtIn("envoy.filters.http.cors", CorsSchema),
    ...phase(PluginPhase.AUTHN),
    ...phase(PluginPhase.AUTHZ),
    builtIn("envoy.filters.http.rbac", RBACSchema),
    builtIn("envoy.filters.http.local_ratelimit", LocalRateLimitSchema, {
      statPrefix: "http_local_rate_limiter",
    }),
    ...phase(PluginPhase.STATS),
    ...phase(PluginPhase.UNSPECIFIED_PHASE),
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

/**
 * A slot that ECDS fills. It waits for its first configuration without a time limit: a listener that went live without
 * would answer 500.
 */
function pluginFilter(plugin: IstioConfig<"WasmPlugin">, ecdsDefault: EcdsDefault): HttpFilter {
  const passThrough = anyPack(CompositeSchema, create(CompositeSchema));
  const failOpen = plugin.spec.failStrategy === FailStrategy.FAIL_OPEN;
  const slot = {
    always: {
      defaultConfig: passThrough,
      applyDefaultConfigWithoutWarming: true,
      typeUrls: [wasmTypeUrl, compositeTypeUrl],
    },
    "fail-open": failOpen
      ? { defaultConfig: passThrough, typeUrls: [wasmTypeUrl, rbacTypeUrl, compositeTypeUrl] }
      : { typeUrls: [wasmTypeUrl, rbacTypeUrl] },
  }[ecdsDefault];
  return create(HttpFilterSchema, {
    name: extensionConfigName(plugin),
    configType: {
      case: "configDiscovery",
      value: {
        ...slot,
        configSource: {
          configSourceSpecifier: { case: "ads", value: {} },
          initialFetchTimeout: { seconds: 0n },
          resourceApiVersion: ApiVersion.V3,
        },
      },
    },
  });
}
