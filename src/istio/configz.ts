import type { IstioConfig, IstioConfigSet, IstioKind } from "./config.ts";
import { indentJson, specJson, structJson } from "./json.ts";
import { kinds } from "./kinds.ts";

/** The kinds that debug pages show, in the order of Higress' store. Secrets are not among them. */
const shownKinds = [
  "Gateway",
  "ServiceEntry",
  "VirtualService",
  "WasmPlugin",
] as const satisfies readonly IstioKind[];

/**
 * The body of `/debug/configz`: all Istio resources as one JSON array, byte-compatible with Higress' (key order kind,
 * apiVersion, metadata, spec). `pretty` indents by four spaces.
 */
export function configz(config: IstioConfigSet, pretty = false): string {
  const compact = `[${shownConfigs(config).map(configJson).join(",")}]`;
  return pretty ? indentJson(compact, "    ") : compact;
}

function shownConfigs(config: IstioConfigSet): IstioConfig[] {
  return shownKinds.flatMap((kind) => config[kind] as readonly IstioConfig[]);
}

/** One Istio resource as JSON. What a template put in from a Secret is shown as the template. */
export function configJson({ kind, namespace, name, annotations, shownSpec, spec }: IstioConfig): string {
  const { apiVersion, schema } = kinds[kind];
  const head = `"kind":"${kind}","apiVersion":"${apiVersion}"`;
  const notes =
    annotations && Object.keys(annotations).length > 0 ? `,"annotations":${structJson(annotations)}` : "";
  const metadata = `{"name":${structJson(name)},"namespace":${structJson(namespace || "default")}${notes}}`;
  return `{${head},"metadata":${metadata},"spec":${specJson(schema, shownSpec ?? spec)}}`;
}
