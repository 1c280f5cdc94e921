import { fromBinary } from "@bufbuild/protobuf";
import { type WasmPlugin, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";

/**
 * Lets a plugin's configuration live in its encoded form alone: it is decoded again whenever somebody looks at it, which
 * after the first time are debug pages only. As objects, the configurations of a thousand plugins of a hundred rules
 * take 60 MB, encoded 12.
 */
export function keepConfigEncoded(spec: WasmPlugin, encoded: Uint8Array): void {
  if (spec.pluginConfig === undefined) return;
  const get = () => fromBinary(WasmPluginSchema, encoded).pluginConfig;
  Object.defineProperty(spec, "pluginConfig", { get, enumerable: true, configurable: true });
}
