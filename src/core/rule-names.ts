import { isDeepStrictEqual } from "node:util";
import { getOrCreate } from "../get-or-create.ts";
import { mapIncrementally, whenChanged } from "../incremental.ts";
import type { Diagnostic, FieldPath } from "../resource/diagnostic.ts";
import { type Ingress, type MatchRule, type ResourceSet, refOf, type WasmPlugin } from "../resource/types.ts";
import { fullName, routeName } from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { isOfClass } from "./ingress-accept.ts";

type Search = (set: ResourceSet) => readonly (readonly Diagnostic[])[];

const searches = new WeakMap<ConvertOptions, Search>();
const none: readonly Diagnostic[] = [];

/**
 * What rules name that requests cannot have: for each of the set's WasmPlugins, in their order. All of it is a warning:
 * it may be written later, or be known to the gateway from elsewhere.
 *
 * Unlike Higress, where such a rule is silent: the plugin is there, and the rule is never taken.
 */
export function findUnknownNames(set: ResourceSet, options: ConvertOptions): ReturnType<Search> {
  return getOrCreate(searches, options, () => createSearch(options))(set);
}

function createSearch(options: ConvertOptions): Search {
  // As text, so that an edit of an Ingress that leaves its name alone is none here.
  const ingressesOf = mapIncrementally((ingress: Ingress) =>
    JSON.stringify([
      isOfClass(ingress, options.ingressClass),
      fullName(ingress),
      routeName(ingress, options),
    ]),
  );
  const servicesOf = mapIncrementally(fullName);
  const search = whenChanged((ingresses: readonly string[], services: readonly string[]) => {
    const known = knownNames(ingresses, services, options);
    return mapIncrementally((plugin: WasmPlugin) => searchOnce(plugin, known));
  });
  return ({ ingresses, services, wasmPlugins }) =>
    search(ingressesOf(ingresses), servicesOf(services))(wasmPlugins);
}

/** What there is that a rule can name. */
interface Known {
  /** The names of Ingresses of our class as rules have them; empty where routes come from elsewhere. */
  readonly routes: ReadonlySet<string>;
  /** Ingresses of other classes, by the name that rules would have. */
  readonly foreign: ReadonlySet<string>;
  /** What a rule may have meant, by an Ingress' name without and with its namespace. */
  readonly spellings: ReadonlyMap<string, string>;
  /** `namespace/name`; empty where they come from elsewhere. */
  readonly services: ReadonlySet<string>;
  readonly options: ConvertOptions;
}

function knownNames(
  ingresses: readonly string[],
  services: readonly string[],
  options: ConvertOptions,
): Known {
  const routes = new Set<string>();
  const foreign = new Set<string>();
  const spellings = new Map<string, string>();
  for (const text of ingresses) {
    const [isOurs, full, route] = JSON.parse(text) as [boolean, string, string];
    (isOurs ? routes : foreign).add(route);
    if (isOurs) spellings.set(full, route).set(full.slice(full.indexOf("/") + 1), route);
  }
  return { routes, foreign, spellings, services: new Set(services), options };
}

const found = new WeakMap<WasmPlugin, readonly Diagnostic[]>();

/** The same list while it says the same. */
function searchOnce(plugin: WasmPlugin, known: Known): readonly Diagnostic[] {
  const { matchRules, pluginConfig } = plugin.spec;
  if (matchRules.length === 0 || pluginConfig !== undefined) return none;
  const now = matchRules.flatMap((rule, index) =>
    rule.configDisable ? [] : searchRule(plugin, rule, ["spec", "matchRules", index], known),
  );
  if (now.length === 0) return none;
  const before = found.get(plugin);
  if (before && isDeepStrictEqual(before, now)) return before;
  found.set(plugin, now);
  return now;
}

type Words = Pick<Diagnostic, "code" | "message" | "hint">;

function searchRule(plugin: WasmPlugin, rule: MatchRule, path: FieldPath, known: Known): Diagnostic[] {
  const remarks = (
    field: string,
    names: readonly string[],
    look: (name: string, known: Known) => Words | undefined,
  ) =>
    names.flatMap((name, index): Diagnostic[] => {
      const words = look(name, known);
      if (!words) return [];
      const at = { ref: refOf(plugin), path: [...path, field, index], file: plugin.origin?.file };
      return [{ ...words, severity: "warning", at }];
    });
  return [
    ...remarks("domain", rule.domain, lookAtDomain),
    // A GRPCRoute's name is none of an Ingress.
    ...(rule.routeType === 1 ? [] : remarks("ingress", rule.ingress, lookAtIngress)),
    ...remarks("service", rule.service, lookAtService),
  ];
}

function lookAtIngress(name: string, { routes, foreign, spellings, options }: Known): Words | undefined {
  if (routes.has(name)) return undefined;
  if (foreign.has(name))
    return {
      code: "INGRESS_NOT_FOUND",
      message: `Ingress ${name} is of another class than ${JSON.stringify(options.ingressClass)}, so the rule matches no request by it`,
      hint: `set its spec.ingressClassName to ${options.ingressClass}`,
    };
  if (routes.size === 0) return undefined;
  const meant = spellings.get(name) ?? spellings.get(name.slice(name.indexOf("/") + 1));
  const where = name.includes("/") ? name : `${name} in namespace ${options.systemNamespace}`;
  return {
    code: "INGRESS_NOT_FOUND",
    message:
      name.includes("/") && spellings.has(name)
        ? `no route is named ${name}, so the rule matches no request by it`
        : `there is no Ingress ${where}, so the rule matches no request by it`,
    hint: meant
      ? `there is ${meant}`
      : "write namespace/name, or the name alone for those of the system namespace",
  };
}

const clusterSuffix = ".svc.cluster.local";

function lookAtService(text: string, { services }: Known): Words | undefined {
  const name = text.replace(/:\d+$/, "");
  if (services.size === 0 || name.includes("*")) return undefined;
  const [service = "", namespace, ...others] = name.split(".");
  const full = `${namespace}/${service}`;
  const isFull = name.endsWith(clusterSuffix) && others.length === 3;
  // Other registries have names of their own.
  if (isFull ? services.has(full) : namespace !== undefined && !services.has(full)) return undefined;
  if (isFull)
    return {
      code: "SERVICE_NOT_FOUND",
      message: `there is no Service ${service} in namespace ${namespace}, so the rule matches no request by it`,
      hint: "create the Service, or correct the name",
    };
  if (namespace !== undefined && others.length > 0 && others.join(".") !== "svc") return undefined;
  return {
    code: "SERVICE_NOT_FOUND",
    message: `no upstream is named ${name}, so the rule matches no request by it`,
    hint: `write ${service}.${namespace ?? "NAMESPACE"}${clusterSuffix}, with or without :port`,
  };
}

function lookAtDomain(domain: string): Words | undefined {
  const isHost = !/[\s/]/.test(domain) && !/:\d*$/.test(domain.replace(/^\[.*\]$/, ""));
  if (isHost) return undefined;
  return {
    code: "INVALID_VALUE",
    message: `domain is ${JSON.stringify(domain)}, expected a host without scheme, port and path; it matches no request`,
    hint: "write foo.com, *.foo.com or foo.*",
  };
}
