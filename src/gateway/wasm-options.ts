import { toJson } from "@bufbuild/protobuf";
import {
  type Any,
  anyUnpack,
  BytesValueSchema,
  StringValueSchema,
  StructSchema,
} from "@bufbuild/protobuf/wkt";
import type { DataSource } from "../gen/envoy/config/core/v3/base_pb.ts";
import { FailurePolicy, type PluginConfig } from "../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import type { FailStrategy, PluginOptions } from "../proxy-wasm/index.ts";
import { refuse } from "./refused-config.ts";

/** What a Wasm filter's configuration says of its plugin, but for the module. */
export function pluginOptions(name: string, config: PluginConfig): Omit<PluginOptions, "module"> {
  const vm = vmOf(config);
  return {
    name: config.name || name,
    rootId: config.rootId,
    vmId: vm.vmId,
    configuration: anyBytes(config.configuration),
    vmConfiguration: anyBytes(vm.configuration),
    environment: environmentOf(vm.environmentVariables),
    failStrategy: failStrategy(config),
    allowOnHeadersStopIteration: config.allowOnHeadersStopIteration ?? false,
  };
}

/** Where a module's code is. */
export function codeSource(config: PluginConfig): DataSource {
  const code = vmOf(config).code?.specifier;
  if (code?.case === "remote")
    return refuse("vm_config.code.remote", "is not supported: the agent pulls modules");
  if (code?.case !== "local") return refuse("vm_config.code", "is required");
  return code.value;
}

function vmOf({ vm }: PluginConfig) {
  return vm.case === "vmConfig" ? vm.value : refuse("vm_config", "is required");
}

function failStrategy({ failurePolicy, failOpen }: PluginConfig): FailStrategy {
  if (failurePolicy === FailurePolicy.FAIL_OPEN) return "open";
  if (failurePolicy === FailurePolicy.FAIL_RELOAD) return "reload";
  return failurePolicy === FailurePolicy.UNSPECIFIED && failOpen ? "open" : "close";
}

function environmentOf(
  variables:
    | { readonly hostEnvKeys: readonly string[]; readonly keyValues: Readonly<Record<string, string>> }
    | undefined,
): Record<string, string> {
  const environment: Record<string, string> = {};
  for (const key of variables?.hostEnvKeys ?? []) {
    const value = process.env[key];
    if (value !== undefined) environment[key] = value;
  }
  return { ...environment, ...variables?.keyValues };
}

/** What a guest reads of a configuration: text and bytes as they are, a Struct as JSON, anything else as it is encoded. */
export function anyBytes(any: Any | undefined): Uint8Array {
  if (!any) return new Uint8Array(0);
  const text = anyUnpack(any, StringValueSchema);
  if (text) return Buffer.from(text.value);
  const bytes = anyUnpack(any, BytesValueSchema);
  if (bytes) return bytes.value;
  const struct = anyUnpack(any, StructSchema);
  return struct ? Buffer.from(JSON.stringify(toJson(StructSchema, struct))) : any.value;
}
