import { setImmediate as nextTurn } from "node:timers/promises";
import { create, fromBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { FetchModule, ModuleAdaptation } from "../../src/agent/resolve-module.ts";
import { TypedExtensionConfigSchema } from "../../src/gen/envoy/config/core/v3/extension_pb.ts";
import { HttpUriSchema } from "../../src/gen/envoy/config/core/v3/http_uri_pb.ts";
import { RBACSchema } from "../../src/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { WasmSchema } from "../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { encodeResource, type XdsResource } from "../../src/xds/snapshot.ts";
import { wasmEnv } from "../../src/xds/wasm-env.ts";

export interface PluginOptions {
  readonly name?: string;
  readonly url?: string;
  /** What tells one version from another. */
  readonly configuration?: string;
  readonly failOpen?: boolean;
  readonly pullSecret?: string;
}

/** An ECDS resource as discovery sends it: a Wasm filter whose code is to be fetched. */
export function pluginResource({
  name = "ns.a",
  url = "oci://registry.example.com/a:1",
  configuration = "{}",
  failOpen = false,
  pullSecret,
}: PluginOptions = {}): XdsResource {
  const keyValues: Record<string, string> =
    pullSecret === undefined ? {} : { [wasmEnv.pullSecret]: pullSecret };
  const wasm = create(WasmSchema, {
    config: {
      name,
      failOpen,
      configuration: anyPack(StringValueSchema, create(StringValueSchema, { value: configuration })),
      vm: {
        case: "vmConfig",
        value: {
          code: { specifier: { case: "remote", value: { httpUri: create(HttpUriSchema, { uri: url }) } } },
          environmentVariables: { keyValues },
        },
      },
    },
  });
  const config = create(TypedExtensionConfigSchema, { name, typedConfig: anyPack(WasmSchema, wasm) });
  return encodeResource(name, TypedExtensionConfigSchema, config);
}

/** What Envoy would run of an ECDS resource, in short: `CONFIGURATION at PATH`, `deny`, `allow`. */
export function inShort(value: Uint8Array): string {
  const { typedConfig } = fromBinary(TypedExtensionConfigSchema, value);
  const wasm = typedConfig && anyUnpack(typedConfig, WasmSchema)?.config;
  if (!wasm) return (typedConfig && anyUnpack(typedConfig, RBACSchema))?.rules ? "deny" : "allow";
  const configuration = wasm.configuration && anyUnpack(wasm.configuration, StringValueSchema)?.value;
  const code = wasm.vm.value?.code?.specifier;
  const source =
    code?.case === "local" && code.value.specifier.case === "filename" && code.value.specifier.value;
  return `${configuration} at ${source || "a URL"}`;
}

/** A module that was asked for, and how that ends. */
export interface Fetch {
  readonly resource: string;
  readonly url: string;
  readonly signal: AbortSignal;
  /** Ends it with a file, and lets what follows from that happen. */
  succeed(path?: string, adaptation?: ModuleAdaptation): Promise<void>;
  fail(failure?: string | Error): Promise<void>;
}

/** Fetches modules when the test says so. `fetches` holds all that were asked for, in order. */
export function createFetches(): { readonly fetchModule: FetchModule; readonly fetches: Fetch[] } {
  const fetches: Fetch[] = [];
  const fetchModule: FetchModule = ({ resource, url }, signal) =>
    new Promise((resolve, reject) => {
      const succeed = (
        path = `/modules/${url.split("/").at(-1)}.wasm`,
        adaptation: ModuleAdaptation = {},
      ) => {
        resolve({ path, ...adaptation });
        return nextTurn();
      };
      const fail = (failure: string | Error = "no such image") => {
        reject(typeof failure === "string" ? new Error(failure) : failure);
        return nextTurn();
      };
      fetches.push({ resource, url, signal, succeed, fail });
    });
  return { fetchModule, fetches };
}
