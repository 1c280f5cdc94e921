import { create } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { getOrCreate } from "../get-or-create.ts";
import { keepItems, mapIncrementally, placeAmong, sameItems, whenChanged } from "../incremental.ts";
import {
  emptyIstioConfigSet,
  type IstioConfig,
  type IstioConfigSet,
  type IstioKind,
} from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import { type ResourceSet, refKey, refOf, type Secret, type WasmPlugin } from "../resource/types.ts";
import { convertIngresses } from "./convert-ingress.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { convertServices } from "./convert-service.ts";
import { convertWasmPlugin } from "./convert-wasm-plugin.ts";
import { expandTemplates, type SecretLookup, unreadable } from "./expand-templates.ts";
import { findUnknownNames } from "./rule-names.ts";

/** What core made of a WasmPlugin. */
export interface WasmPluginStatus {
  readonly namespace: string;
  readonly name: string;
  /**
   * `accepted`: sent as written. `disabled`: nothing to send. `rejected`: an error; nothing is sent, or, with
   * `lastGood`, its last good version. `ignored`: not in the system namespace.
   */
  readonly state: "accepted" | "disabled" | "rejected" | "ignored";
  readonly lastGood: boolean;
}

/** A WasmPlugin with all that came of it; the same object while that is the same. */
export interface ConvertedPlugin {
  readonly status: WasmPluginStatus;
  /** What is sent of it: this version, or its last good one. */
  readonly config: IstioConfig<"WasmPlugin"> | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

export interface Conversion {
  readonly config: IstioConfigSet;
  /** One for each of the set's, in the same order. */
  readonly plugins: readonly ConvertedPlugin[];
  readonly diagnostics: readonly Diagnostic[];
}

export const emptyConversion: Conversion = { config: emptyIstioConfigSet, plugins: [], diagnostics: [] };

/**
 * The whole of station 2: everything users wrote becomes Istio's resources. Pure and incremental: a resource that is the
 * same object as last time costs a look-up. A WasmPlugin with an error keeps the version it has in `previous`.
 */
export function convertResources(
  set: ResourceSet,
  options: ConvertOptions,
  previous: Conversion = emptyConversion,
): Conversion {
  const converted = convertEach(options, set.secrets)(set.wasmPlugins);
  const plugins = collectPlugins(converted, previous.config.WasmPlugin, findUnknownNames(set, options));
  const ingresses = convertIngresses(set, options);
  const services = convertServices(set, options);
  const config: IstioConfigSet = {
    Gateway: ingresses.gateways,
    VirtualService: ingresses.virtualServices,
    ServiceEntry: services.serviceEntries,
    WasmPlugin: plugins.configs,
    Secret: uniqueSecrets(keepSecrets([...ingresses.secrets, ...plugins.pullSecrets])),
  };
  return {
    config: keepLists(config, previous.config),
    plugins: plugins.converted,
    diagnostics: [...plugins.diagnostics, ...ingresses.diagnostics, ...services.diagnostics],
  };
}

interface Converted extends ConvertedPlugin {
  readonly pullSecret: IstioConfig<"Secret"> | undefined;
}

const keepSecrets = keepItems<IstioConfig<"Secret">>();
const uniqueSecrets = whenChanged(uniqueByName<"Secret">);

/** The conversion of a list of plugins, for as long as options and Secrets stay the same. */
const convertEach = whenChanged((options: ConvertOptions, all: ResourceSet["secrets"]) => {
  const secrets = new Map(all.map((secret) => [refKey(refOf(secret)), secret]));
  const lookup: SecretLookup = (namespace, name) => secrets.get(refKey({ kind: "Secret", namespace, name }));
  return mapIncrementally((plugin: WasmPlugin) => convertPluginOnce(plugin, options, lookup));
});

function collectPlugins(
  plugins: readonly Converted[],
  previous: readonly IstioConfig<"WasmPlugin">[],
  remarks: readonly (readonly Diagnostic[])[],
) {
  const configs: IstioConfig<"WasmPlugin">[] = [];
  const pullSecrets: IstioConfig<"Secret">[] = [];
  const diagnostics: Diagnostic[] = [];
  const converted = plugins.map((plugin, index): ConvertedPlugin => {
    const effective = effectiveOf(plugin, previous, remarks[index]!);
    if (effective.config) configs.push(effective.config);
    if (plugin.pullSecret) pullSecrets.push(plugin.pullSecret);
    if (effective.diagnostics.length > 0) diagnostics.push(...effective.diagnostics);
    return effective;
  });
  return { configs: sortedByName(configs), pullSecrets, converted, diagnostics };
}

const keptBy = new WeakMap<Converted, ConvertedPlugin>();

/** A plugin with an error as it is in effect: with the version that was sent until now, if there is one. */
function withLastGood(plugin: Converted, previous: readonly IstioConfig<"WasmPlugin">[]): ConvertedPlugin {
  const config = findByName(previous, plugin.status.name);
  if (!config) return plugin;
  const known = keptBy.get(plugin);
  if (known?.config === config) return known;
  const kept = {
    status: { ...plugin.status, lastGood: true },
    config,
    diagnostics: [...plugin.diagnostics, lastGoodKept(plugin)],
  };
  keptBy.set(plugin, kept);
  return kept;
}

/** What is served of a plugin, and said of it. */
function effectiveOf(
  plugin: Converted,
  previous: readonly IstioConfig<"WasmPlugin">[],
  remarks: readonly Diagnostic[],
): ConvertedPlugin {
  switch (plugin.status.state) {
    case "rejected":
      return withLastGood(plugin, previous);
    case "accepted":
      return withRemarks(plugin, remarks);
    default:
      return plugin;
  }
}

const remarkedOf = new WeakMap<Converted, { remarks: readonly Diagnostic[]; plugin: ConvertedPlugin }>();

/** A plugin with what is to be said of it because of other resources. */
function withRemarks(plugin: Converted, remarks: readonly Diagnostic[]): ConvertedPlugin {
  if (remarks.length === 0) return plugin;
  const known = remarkedOf.get(plugin);
  if (known?.remarks === remarks) return known.plugin;
  const remarked = { ...plugin, diagnostics: [...plugin.diagnostics, ...remarks] };
  remarkedOf.set(plugin, { remarks, plugin: remarked });
  return remarked;
}

/** Looks a name up in a list that is sorted by it. */
function findByName(sorted: readonly IstioConfig<"WasmPlugin">[], name: string) {
  const found = sorted[placeAmong(sorted, (config) => config.name < name)];
  return found?.name === name ? found : undefined;
}

function lastGoodKept({ status: { namespace, name }, diagnostics }: Converted): Diagnostic {
  return {
    severity: "warning",
    code: "LAST_GOOD_KEPT",
    message: "its last good version stays in effect",
    at: { ref: { kind: "WasmPlugin", namespace, name }, path: [], file: diagnostics[0]?.at.file },
  };
}

/** Sorts by name, if it is not sorted yet: it is nearly always, and a thousand comparisons are cheaper than a sort. */
function sortedByName(configs: IstioConfig<"WasmPlugin">[]): IstioConfig<"WasmPlugin">[] {
  const isSorted = configs.every(({ name }, index) => index === 0 || configs[index - 1]!.name < name);
  return isSorted ? configs : configs.sort((a, b) => (a.name < b.name ? -1 : 1));
}

interface Remembered {
  readonly converted: Converted;
  readonly options: ConvertOptions;
  /** The Secrets that were asked for, and what was there. */
  readonly asked: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly found: Secret | undefined;
  }[];
}

const remembered = new WeakMap<WasmPlugin, Remembered>();

function convertPluginOnce(plugin: WasmPlugin, options: ConvertOptions, secrets: SecretLookup): Converted {
  const known = remembered.get(plugin);
  if (
    known?.options === options &&
    known.asked.every(({ namespace, name, found }) => secrets(namespace, name) === found)
  ) {
    return known.converted;
  }
  const asked: Remembered["asked"][number][] = [];
  const converted = convertPlugin(plugin, options, (namespace, name) => {
    const found = secrets(namespace, name);
    asked.push({ namespace, name, found });
    return found;
  });
  remembered.set(plugin, { converted, options, asked });
  return converted;
}

function convertPlugin(plugin: WasmPlugin, options: ConvertOptions, secrets: SecretLookup): Converted {
  const { namespace, name } = plugin.metadata;
  const statusOf = (state: WasmPluginStatus["state"]) => ({ namespace, name, state, lastGood: false });
  if (namespace !== options.systemNamespace) {
    const diagnostics = [ignoredNamespace(plugin, options)];
    return { status: statusOf("ignored"), config: undefined, pullSecret: undefined, diagnostics };
  }
  const expansion = expandTemplates(plugin, options.systemNamespace, secrets);
  const conversion = convertWasmPlugin(expansion.plugin, options);
  const pull = findPullSecret(plugin, secrets);
  const diagnostics = [...expansion.diagnostics, ...conversion.diagnostics, ...pull.diagnostics];
  if (expansion.diagnostics.length > 0 || conversion.diagnostics.length > 0) {
    return { status: statusOf("rejected"), config: undefined, pullSecret: pull.config, diagnostics };
  }
  const shownSpec = expansion.plugin === plugin ? undefined : convertWasmPlugin(plugin, options).config?.spec;
  const config = conversion.config && (shownSpec ? { ...conversion.config, shownSpec } : conversion.config);
  return { status: statusOf(config ? "accepted" : "disabled"), config, pullSecret: pull.config, diagnostics };
}

/** Unlike Higress: it drops such a plugin without a word. */
function ignoredNamespace(plugin: WasmPlugin, { systemNamespace }: ConvertOptions): Diagnostic {
  return {
    severity: "warning",
    code: "NAMESPACE_IGNORED",
    message: `namespace is ${JSON.stringify(plugin.metadata.namespace)}, and only WasmPlugins in ${JSON.stringify(systemNamespace)} take effect`,
    at: { ref: refOf(plugin), path: ["metadata", "namespace"], file: plugin.origin?.file },
    hint: `move it to ${systemNamespace}`,
  };
}

/** The Secret that `imagePullSecret` names: always in the plugin's own namespace, whatever namespace the text names. */
function findPullSecret(plugin: WasmPlugin, secrets: SecretLookup) {
  const name = pullSecretName(plugin);
  if (!name) return { config: undefined, diagnostics: [] };
  const secret = secrets(plugin.metadata.namespace, name);
  if (secret?.data[".dockerconfigjson"]) return { config: convertSecret(secret), diagnostics: [] };
  const path = ["spec", "imagePullSecret"];
  const at = { ref: refOf(plugin), path, file: plugin.origin?.file };
  const what = `Secret ${plugin.metadata.namespace}/${name}`;
  if (secret?.unreadable !== undefined)
    return { config: undefined, diagnostics: [unreadable(plugin, path, secret.unreadable, "warning")] };
  const diagnostic: Diagnostic = secret
    ? {
        severity: "warning",
        code: "SECRET_INVALID",
        message: `${what} has no key .dockerconfigjson`,
        at,
        hint: "make it with `kubectl create secret docker-registry`",
      }
    : {
        severity: "warning",
        code: "SECRET_NOT_FOUND",
        message: `${what} does not exist`,
        at,
        hint: "create it, of type kubernetes.io/dockerconfigjson",
      };
  return { config: undefined, diagnostics: [diagnostic] };
}

/** The name of the Secret to pull a plugin's image with, "" if it needs none. */
export function pullSecretName({ spec }: WasmPlugin): string {
  return spec.imagePullSecret.split("/").pop() ?? "";
}

const convertedSecrets = new WeakMap<Secret, IstioConfig<"Secret">>();

function convertSecret(secret: Secret): IstioConfig<"Secret"> {
  return getOrCreate(convertedSecrets, secret, () => {
    const { namespace, name } = secret.metadata;
    const spec = create(SecretSchema, { type: secret.type, data: { ...secret.data } });
    return { kind: "Secret", namespace, name, spec };
  });
}

function uniqueByName<K extends IstioKind>(configs: readonly IstioConfig<K>[]): IstioConfig<K>[] {
  return [...new Map(configs.map((config) => [`${config.namespace}/${config.name}`, config])).values()];
}

/** Gives back a list of the previous set itself where its items are the same. */
function keepLists(next: IstioConfigSet, previous: IstioConfigSet): IstioConfigSet {
  const keep = <K extends IstioKind>(kind: K) =>
    sameItems(previous[kind], next[kind]) ? previous[kind] : next[kind];
  const kept: IstioConfigSet = {
    Gateway: keep("Gateway"),
    ServiceEntry: keep("ServiceEntry"),
    VirtualService: keep("VirtualService"),
    WasmPlugin: keep("WasmPlugin"),
    Secret: keep("Secret"),
  };
  return (Object.keys(kept) as IstioKind[]).every((kind) => kept[kind] === previous[kind]) ? previous : kept;
}
