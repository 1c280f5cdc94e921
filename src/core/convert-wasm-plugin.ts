import { create, type JsonObject as ProtoJsonObject } from "@bufbuild/protobuf";
import {
  type WasmPlugin as IstioWasmPlugin,
  WasmPluginSchema,
} from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import {
  type JsonObject,
  type JsonValue,
  type MatchRule,
  refOf,
  type WasmPlugin,
  type WasmPluginSpec,
} from "../resource/types.ts";
import type { ConvertOptions } from "./convert-options.ts";

/** What became of one WasmPlugin. `config` is undefined where it is disabled or rejected (then there is an error). */
export interface WasmPluginConversion {
  readonly config: IstioConfig<"WasmPlugin"> | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

type PluginConfig =
  | { readonly config: JsonObject | undefined }
  | "disabled"
  | { readonly badRules: readonly number[] };

/**
 * Converts what a user wrote to the resource that Istio understands, as Higress' controller does: the default
 * configuration becomes the plugin's configuration, each rule an entry of `_rules_` with its match keys.
 */
export function convertWasmPlugin(
  plugin: WasmPlugin,
  { gatewaySelector }: ConvertOptions,
): WasmPluginConversion {
  const pluginConfig = convertPluginConfig(plugin.spec);
  if (pluginConfig === "disabled") return { config: undefined, diagnostics: [] };
  if ("badRules" in pluginConfig) {
    return {
      config: undefined,
      diagnostics: pluginConfig.badRules.map((index) => ruleWithoutMatch(plugin, index)),
    };
  }
  const { namespace, name } = plugin.metadata;
  const spec = createSpec(plugin.spec, pluginConfig.config);
  spec.selector!.matchLabels = { [gatewaySelector.key]: gatewaySelector.value };
  return { config: { kind: "WasmPlugin", namespace, name, spec }, diagnostics: [] };
}

function createSpec(spec: WasmPluginSpec, pluginConfig: JsonObject | undefined): IstioWasmPlugin {
  const { url, sha256, imagePullPolicy, imagePullSecret, verificationKey, pluginName, phase } = spec;
  const { priority, failStrategy, vmConfig } = spec;
  return create(WasmPluginSchema, {
    selector: {},
    url,
    sha256,
    imagePullPolicy,
    imagePullSecret,
    verificationKey,
    // Protobuf's own JSON type is the same but for `readonly`.
    pluginConfig: pluginConfig as ProtoJsonObject | undefined,
    pluginName,
    phase,
    priority,
    failStrategy,
    vmConfig: vmConfig && {
      env: vmConfig.env.map(({ name, value, valueFrom }) => ({ name, value, valueFrom })),
    },
  });
}

function convertPluginConfig(spec: WasmPluginSpec): PluginConfig {
  // A plugin configuration in Istio's own form switches rules and default off, whatever they say.
  if (spec.pluginConfig !== undefined) return { config: spec.pluginConfig };
  const { matchRules, defaultConfigDisable } = spec;
  const defaultConfig = defaultConfigDisable ? undefined : spec.defaultConfig;
  const enabled = matchRules
    .map((rule, index) => ({ rule, index }))
    .filter(({ rule }) => !rule.configDisable);
  const badRules = enabled.filter(({ rule }) => !hasMatch(rule)).map(({ index }) => index);
  if (badRules.length > 0) return { badRules };
  if (enabled.length === 0) {
    if (defaultConfigDisable) return "disabled";
    // Higress leaves an empty configuration where all rules are disabled, and none at all where there are none.
    return { config: matchRules.length > 0 ? (defaultConfig ?? {}) : defaultConfig };
  }
  const rules = enabled.map(({ rule }) => convertRule(rule));
  return { config: { ...defaultConfig, _rules_: rules } };
}

function hasMatch({ ingress, domain, service }: MatchRule): boolean {
  return ingress.length > 0 || domain.length > 0 || service.length > 0;
}

function convertRule(rule: MatchRule): JsonObject {
  const matches: [string, readonly string[]][] = [
    ["_match_route_", routeNames(rule)],
    ["_match_service_", rule.service],
    ["_match_domain_", rule.domain],
  ];
  // A match key that the rule's configuration brings along survives where the rule itself has no such list.
  const set = matches.filter(([, names]) => names.length > 0);
  return { ...rule.config, ...Object.fromEntries(set as [string, JsonValue][]) };
}

/** Unlike Higress: its GRPC rules lose the route's name and can match nothing; the route is called `GRPC/ns/name`. */
function routeNames({ ingress, routeType }: MatchRule): readonly string[] {
  return routeType === 1 ? ingress.map((name) => `GRPC/${name}`) : ingress;
}

function ruleWithoutMatch(plugin: WasmPlugin, index: number): Diagnostic {
  return {
    severity: "error",
    code: "RULE_NO_MATCH",
    message: "rule has no domain, ingress or service",
    at: { ref: refOf(plugin), path: ["spec", "matchRules", index], file: plugin.origin?.file },
    hint: "say where the rule applies, or move its config to defaultConfig",
  };
}
