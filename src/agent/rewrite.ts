import { create, fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { AsyncDataSourceSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type TypedExtensionConfig,
  TypedExtensionConfigSchema,
} from "../gen/envoy/config/core/v3/extension_pb.ts";
import { FilterChainConfigSchema } from "../gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { type Wasm, WasmSchema } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { FailurePolicy, type VmConfig } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import { encodeResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { wasmEnv } from "../xds/wasm-env.ts";
import type { ModuleRequest } from "./module-request.ts";

/** A Wasm filter in an ECDS resource, and the module it asks for. */
export interface WasmResource {
  readonly name: string;
  readonly version: string;
  readonly config: TypedExtensionConfig;
  readonly wasm: Wasm;
  readonly request: ModuleRequest;
  readonly failOpen: boolean;
}

/** Reads an ECDS resource; undefined for what passes untouched: anything but a Wasm filter with code to fetch. */
export function readWasmResource({ name, version, typeUrl, value }: XdsResource): WasmResource | undefined {
  if (typeUrl !== typeUrls.extensionConfig) return undefined;
  const config = fromBinary(TypedExtensionConfigSchema, value);
  const wasm = config.typedConfig && anyUnpack(config.typedConfig, WasmSchema);
  const vm = wasm?.config?.vm.value;
  const request = vm && moduleRequest(config.name, vm);
  if (!wasm || !request) return undefined;
  // Istio's newer and older discovery say it in different fields.
  const { failurePolicy = FailurePolicy.UNSPECIFIED, failOpen = false } = wasm.config ?? {};
  const open =
    failurePolicy === FailurePolicy.UNSPECIFIED ? failOpen : failurePolicy === FailurePolicy.FAIL_OPEN;
  return { name: name || config.name, version, config, wasm, request, failOpen: open };
}

function moduleRequest(resource: string, vm: VmConfig): ModuleRequest | undefined {
  const env = vm.environmentVariables?.keyValues ?? {};
  const policy = env[wasmEnv.pullPolicy];
  const shared = {
    resource,
    resourceVersion: env[wasmEnv.resourceVersion] ?? "",
    pullPolicy: policy === "Always" || policy === "IfNotPresent" ? policy : "unspecified",
    pullSecret: env[wasmEnv.pullSecret],
  } as const;
  const code = vm.code?.specifier;
  if (code?.case === "remote" && code.value.httpUri?.uri) {
    // Istio writes "nil" for no checksum, because Envoy itself takes no empty one.
    const sha256 =
      code.value.sha256 && code.value.sha256 !== "nil" ? code.value.sha256.toLowerCase() : undefined;
    return { ...shared, url: code.value.httpUri.uri, sha256 };
  }
  if (code?.case === "local" && code.value.specifier.case === "filename") {
    return {
      ...shared,
      url: `file://${code.value.specifier.value}`,
      sha256: env[wasmEnv.localSha256]?.toLowerCase(),
    };
  }
  return undefined;
}

/**
 * Station 6: the same filter with its code in a local file. The path carries the digest, so that new code is a new path
 * for Envoy. `heldBodies` is for modules of Higress' ABI, whose Envoy gives them a body while they hold the headers.
 */
export function withLocalModule(
  { name, version, config, wasm }: WasmResource,
  path: string,
  heldBodies = false,
): XdsResource {
  const vm = wasm.config!.vm.value!;
  const local: Wasm = {
    ...wasm,
    config: {
      ...wasm.config!,
      ...(heldBodies && { allowOnHeadersStopIteration: true }),
      vm: {
        case: "vmConfig",
        value: {
          ...vm,
          code: create(AsyncDataSourceSchema, {
            specifier: { case: "local", value: { specifier: { case: "filename", value: path } } },
          }),
          environmentVariables: withoutIstioEnv(vm),
        },
      },
    },
  };
  return encode(name, version, { ...config, typedConfig: anyPack(WasmSchema, local) });
}

/**
 * What stands in for a filter whose module was never had: a filter that lets everything pass where the plugin fails
 * open, and denies everything where it fails closed. Its version is not the resource's, so that it is asked for again
 * after a reconnect.
 */
export function substituteFor({ name, version, config, failOpen }: WasmResource): XdsResource {
  const rbac = create(
    RBACSchema,
    failOpen
      ? { rulesStatPrefix: "wasm-default-allow" }
      : { rules: {}, rulesStatPrefix: "wasm-default-deny" },
  );
  return encode(name, `${version}${substituteMark}`, { ...config, typedConfig: anyPack(RBACSchema, rbac) });
}

const substituteMark = "~substitute";

/** Whether a resource stands in for a filter whose module was never had. */
export function isSubstitute({ version }: XdsResource): boolean {
  return version.endsWith(substituteMark);
}

/** The filters of a chain in an ECDS resource; undefined where it is no chain, or cannot be read. */
export function readFilterChain({
  typeUrl,
  value,
}: XdsResource): readonly TypedExtensionConfig[] | undefined {
  if (typeUrl !== typeUrls.extensionConfig) return undefined;
  try {
    const { typedConfig } = fromBinary(TypedExtensionConfigSchema, value);
    const chain = typedConfig && anyUnpack(typedConfig, FilterChainConfigSchema);
    return chain && (chain.defaultFilterChain?.filters ?? []);
  } catch {
    // Envoy refuses it itself, and says why.
    return undefined;
  }
}

function encode(name: string, version: string, config: TypedExtensionConfig): XdsResource {
  return { ...encodeResource(name, TypedExtensionConfigSchema, config), version };
}

/** What discovery told the agent is not the plugin's business: a new resource version must not restart its VM. */
function withoutIstioEnv({ environmentVariables }: VmConfig): VmConfig["environmentVariables"] {
  const kept = Object.entries(environmentVariables?.keyValues ?? {}).filter(
    ([key]) => !key.startsWith(wasmEnv.prefix),
  );
  const hostKeys = environmentVariables?.hostEnvKeys ?? [];
  if (kept.length === 0 && hostKeys.length === 0) return undefined;
  return { ...environmentVariables!, keyValues: Object.fromEntries(kept), hostEnvKeys: hostKeys };
}

/** The name of an encoded ECDS resource. */
export function extensionConfigNameOf(value: Uint8Array): string {
  return fromBinary(TypedExtensionConfigSchema, value).name;
}
