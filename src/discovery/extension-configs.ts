import { create } from "@bufbuild/protobuf";
import { AnySchema, anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { AsyncDataSource } from "../gen/envoy/config/core/v3/base_pb.ts";
import { AsyncDataSourceSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { FailurePolicy } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import {
  EnvValueSource,
  FailStrategy,
  PullPolicy,
  type WasmPlugin,
} from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { Secret } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { structJson } from "../istio/json.ts";
import { encodeResource, type SnapshotResource } from "../xds/snapshot.ts";
import { wasmEnv } from "../xds/wasm-env.ts";

/** The filter's name and its ECDS resource's: Envoy subscribes by the name of the filter. */
export function extensionConfigName({
  namespace,
  name,
}: {
  readonly namespace: string;
  readonly name: string;
}): string {
  return `${namespace}.${name}`;
}

/**
 * One plugin as ECDS delivers it: a Wasm filter whose code is still where its author put it. The agent pulls it and
 * puts a local file there. `pullSecret` is undefined where the plugin names none, and empty where the proxy may not
 * have it or it does not exist.
 */
export function extensionConfig(
  plugin: IstioConfig<"WasmPlugin">,
  pullSecret: Secret | undefined,
): SnapshotResource {
  const { spec } = plugin;
  const name = extensionConfigName(plugin);
  const wasm = create(WasmSchema, {
    config: {
      name,
      rootId: spec.pluginName,
      failurePolicy: failurePolicies[spec.failStrategy],
      // Istio sends an empty Any for an empty configuration, and it is told apart from none at all.
      configuration: configurationOf(spec) ?? create(AnySchema),
      vm: {
        case: "vmConfig",
        value: {
          runtime: "envoy.wasm.runtime.v8",
          code: codeSource(spec),
          environmentVariables: {
            hostEnvKeys: (spec.vmConfig?.env ?? []).filter(isHost).map((variable) => variable.name),
            keyValues: environment(plugin, pullSecret),
          },
        },
      },
    },
  });
  const config = create(TypedExtensionConfigSchema, { name, typedConfig: anyPack(WasmSchema, wasm) });
  return { ...encodeResource(name, TypedExtensionConfigSchema, config), source: plugin.version };
}

const failurePolicies: Readonly<Record<FailStrategy, FailurePolicy>> = {
  [FailStrategy.FAIL_CLOSE]: FailurePolicy.FAIL_CLOSED,
  [FailStrategy.FAIL_OPEN]: FailurePolicy.FAIL_OPEN,
  [FailStrategy.FAIL_RELOAD]: FailurePolicy.FAIL_RELOAD,
};

function configurationOf({ pluginConfig }: WasmPlugin) {
  if (!pluginConfig || Object.keys(pluginConfig).length === 0) return undefined;
  return anyPack(StringValueSchema, create(StringValueSchema, { value: structJson(pluginConfig) }));
}

function codeSource({ url, sha256 }: WasmPlugin): AsyncDataSource {
  const local = /^file:\/\//i.test(url) ? url.slice("file://".length) : undefined;
  if (local !== undefined) {
    return create(AsyncDataSourceSchema, {
      specifier: { case: "local", value: { specifier: { case: "filename", value: local } } },
    });
  }
  return create(AsyncDataSourceSchema, {
    specifier: {
      case: "remote",
      value: {
        sha256,
        httpUri: {
          uri: withScheme(url),
          timeout: { seconds: 30n },
          httpUpstreamType: { case: "cluster", value: "_" },
        },
      },
    },
  });
}

/** Unlike Istio: `localhost:5000/x` and `10.0.0.1:5000/x` are images too, where it reads a scheme or gives up. */
function withScheme(url: string): string {
  return /^[a-z][a-z0-9+.-]*:\/\//i.test(url) ? url : `oci://${url}`;
}

function environment(
  { spec, version }: IstioConfig<"WasmPlugin">,
  pullSecret: Secret | undefined,
): Record<string, string> {
  const values: Record<string, string> = { [wasmEnv.resourceVersion]: version ?? "" };
  if (spec.imagePullPolicy !== PullPolicy.UNSPECIFIED_POLICY) {
    values[wasmEnv.pullPolicy] = PullPolicy[spec.imagePullPolicy] ?? String(spec.imagePullPolicy);
  }
  if (spec.imagePullSecret) values[wasmEnv.pullSecret] = secretText(pullSecret);
  if (spec.sha256 && /^file:\/\//i.test(spec.url)) values[wasmEnv.localSha256] = spec.sha256;
  for (const variable of spec.vmConfig?.env ?? []) {
    // Unlike Istio: a plugin's variable cannot take the place of ours and, with it, of the pull secret.
    if (!isHost(variable) && !Object.hasOwn(values, variable.name)) values[variable.name] = variable.value;
  }
  return values;
}

function secretText(secret: Secret | undefined): string {
  return Buffer.from(secret?.data[".dockerconfigjson"] ?? []).toString("utf8");
}

function isHost({ valueFrom }: { readonly valueFrom: EnvValueSource }): boolean {
  return valueFrom === EnvValueSource.HOST;
}
