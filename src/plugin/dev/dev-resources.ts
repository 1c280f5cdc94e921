import { basename, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { decodeWasmPluginSpec } from "../../resource/decode-wasm-plugin.ts";
import type { SourceState } from "../../resource/source-state.ts";
import { withSpec } from "../../resource/spec-text.ts";
import type { EndpointSlice, Ingress, JsonObject, Service, WasmPlugin } from "../../resource/types.ts";

/** A plugin that is being written, as resources meet it. */
export interface DevModule {
  readonly directory: string;
  /** Of its image. */
  readonly repository: string;
  /** Of the WasmPlugin that stands for it where its author wrote none. */
  readonly spec: JsonObject;
  /** The module that is to run; undefined while there is none. */
  readonly url: string | undefined;
}

export interface DevResourceOptions {
  readonly namespace: string;
  /** Where requests go when no Ingress says it. */
  readonly upstream: { readonly address: string; readonly port: number };
}

const backend = "wasmline-dev";
const namespaceOfBackend = "default";

/**
 * What users wrote, with the modules that are being written in the place of those that WasmPlugins name. A plugin that no
 * WasmPlugin names gets one, and where there is no Ingress, all requests go to the upstream. A WasmPlugin whose module was
 * never built is left out.
 */
export function developResources(
  { set, diagnostics }: SourceState,
  modules: readonly DevModule[],
  { namespace, upstream }: DevResourceOptions,
): SourceState {
  const named = new Set<DevModule>();
  const written = set.wasmPlugins.flatMap((plugin) => {
    const module = modules.find((each) => isNamed(each, plugin.spec.url));
    if (!module) return [plugin];
    named.add(module);
    return module.url === undefined ? [] : [withModule(plugin, module.url)];
  });
  const added = modules.flatMap((each) => (named.has(each) ? [] : makeWasmPlugin(each, namespace)));
  const wasmPlugins = [...written, ...added];
  if (set.ingresses.length > 0) return { diagnostics, set: { ...set, wasmPlugins } };
  const { ingress, service, slice } = wayTo(upstream);
  return {
    diagnostics,
    set: {
      ...set,
      wasmPlugins,
      ingresses: [ingress],
      services: [...set.services, service],
      endpointSlices: [...set.endpointSlices, slice],
    },
  };
}

/** Whether a WasmPlugin's `url` is a file in a plugin's folder, or an image that is called like the plugin. */
export function isNamed({ directory, repository }: DevModule, url: string): boolean {
  if (/^file:\/\//i.test(url)) return isFileBelow(directory, url);
  if (/^https?:\/\//i.test(url)) return false;
  const image = url
    .replace(/^oci:\/\//i, "")
    .replace(/@.*$/, "")
    .replace(/:[^:/]*$/, "");
  return image === repository || basename(image) === basename(repository);
}

function isFileBelow(directory: string, url: string): boolean {
  try {
    return fileURLToPath(url).startsWith(resolve(directory) + sep);
  } catch {
    return false;
  }
}

const memo = new WeakMap<WasmPlugin, WasmPlugin>();

/** The same object for the same module: what is unchanged keeps its identity. */
function withModule(plugin: WasmPlugin, url: string): WasmPlugin {
  const known = memo.get(plugin);
  if (known?.spec.url === url) return known;
  const spec = { ...plugin.spec, url, sha256: "", imagePullPolicy: 0, imagePullSecret: "" };
  const made = withSpec(plugin, spec);
  memo.set(plugin, made);
  return made;
}

function makeWasmPlugin({ repository, spec, url }: DevModule, namespace: string): WasmPlugin[] {
  if (url === undefined) return [];
  const decoded = decodeWasmPluginSpec({ ...spec, url }, { problems: [] });
  const metadata = { name: basename(repository), namespace };
  return decoded ? [{ kind: "WasmPlugin", metadata, spec: decoded }] : [];
}

function wayTo({ address, port }: DevResourceOptions["upstream"]) {
  const metadata = { name: backend, namespace: namespaceOfBackend };
  const service: Service = {
    kind: "Service",
    metadata,
    spec: { ports: [{ name: "http", port: 80 }] },
  };
  const slice: EndpointSlice = {
    kind: "EndpointSlice",
    metadata: { ...metadata, labels: { "kubernetes.io/service-name": backend } },
    addressType: "IPv4",
    endpoints: [{ addresses: [address] }],
    ports: [{ name: "http", port }],
  };
  const to = { service: { name: backend, port: { number: 80 } } };
  const paths = [{ path: "/", pathType: "Prefix" as const, backend: to }];
  const ingress: Ingress = { kind: "Ingress", metadata, spec: { rules: [{ http: { paths } }] } };
  return { ingress, service, slice };
}
