import { create } from "@bufbuild/protobuf";
import { WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { ProxyNode } from "./proxy.ts";

/** Says in an agent's log why there is nothing to pull. */
const url = "oci://withheld.invalid/values-from-secrets-go-to-authenticated-gateways-only";

const withheld = new WeakMap<IstioConfig<"WasmPlugin">, IstioConfig<"WasmPlugin">>();

/**
 * A plugin as a proxy may have it. From one that holds values from Secrets everything that can be one is taken away where
 * the proxy may have none. Its place in the chain stays, and its module cannot be had: then its fail strategy decides,
 * which without the plugin nobody would.
 */
export function allowedPlugin(
  plugin: IstioConfig<"WasmPlugin">,
  { secrets }: ProxyNode,
): IstioConfig<"WasmPlugin"> {
  if (secrets !== "none" || !plugin.shownSpec) return plugin;
  const known = withheld.get(plugin);
  if (known) return known;
  const { selector, phase, priority, failStrategy, match } = plugin.spec;
  // The name of a pull secret that the proxy may not have makes agents fail at once, Istio's too.
  const fields = { selector, phase, priority, failStrategy, match, url, imagePullSecret: "withheld" };
  const allowed = { ...plugin, spec: create(WasmPluginSchema, fields), shownSpec: undefined };
  withheld.set(plugin, allowed);
  return allowed;
}
