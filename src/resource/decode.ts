import { decodeConfigMapFields, decodeSecretFields } from "./decode-data.ts";
import { decodeIngressSpec } from "./decode-ingress.ts";
import { warnUnknown } from "./decode-message.ts";
import { decodeMetadata } from "./decode-metadata.ts";
import { decodeEndpointSliceFields, decodeIngressClassSpec, decodeServiceSpec } from "./decode-service.ts";
import { decodeWasmPluginSpec } from "./decode-wasm-plugin.ts";
import { type Cursor, enter, isObject, type Problem, reportMismatch, reportMissing } from "./decoder.ts";
import type { JsonObject, Origin, Resource, ResourceKind, ResourceRef } from "./types.ts";

export interface DecodeOptions {
  /** The namespace of resources that name none. */
  readonly defaultNamespace: string;
  readonly origin?: Origin;
}

/** What became of one object: `resource` is there if `problems` has no error. */
export interface Decoded {
  readonly ref?: ResourceRef;
  readonly resource?: Resource;
  readonly problems: readonly Problem[];
}

type Fields = Omit<Resource, "kind" | "metadata" | "origin">;

interface Kind {
  readonly apiVersion: string;
  readonly clusterScoped?: boolean;
  readonly decode: (value: JsonObject, at: Cursor) => Fields | undefined;
}

const specOf =
  (decode: (value: unknown, at: Cursor) => object | undefined): Kind["decode"] =>
  (value, at) => {
    const spec = decode(value.spec, at);
    return spec && { spec };
  };

const kinds: Readonly<Record<ResourceKind, Kind>> = {
  WasmPlugin: { apiVersion: "extensions.higress.io/v1alpha1", decode: decodeWasmPlugin },
  Ingress: { apiVersion: "networking.k8s.io/v1", decode: specOf(decodeIngressSpec) },
  IngressClass: {
    apiVersion: "networking.k8s.io/v1",
    clusterScoped: true,
    decode: specOf(decodeIngressClassSpec),
  },
  Service: { apiVersion: "v1", decode: specOf(decodeServiceSpec) },
  EndpointSlice: { apiVersion: "discovery.k8s.io/v1", decode: decodeEndpointSliceFields },
  Secret: { apiVersion: "v1", decode: decodeSecretFields },
  ConfigMap: { apiVersion: "v1", decode: decodeConfigMapFields },
};

/** Decodes an object of any kind, from a file or from an API server. Never throws; every error is among the problems. */
export function decodeResource(value: unknown, options: DecodeOptions): Decoded {
  const at: Cursor = { problems: [] };
  const { problems } = at;
  if (!isObject(value)) {
    reportMismatch(at, "a resource with apiVersion, kind and metadata", value);
    return { problems };
  }
  const name = kindOf(value, at);
  if (!name) return { problems };
  const kind = isKnownKind(name) ? kinds[name] : undefined;
  const ref = refOfObject(name, value, kind?.clusterScoped ? "" : options.defaultNamespace);
  if (!kind || value.apiVersion !== kind.apiVersion) {
    if (typeof value.apiVersion === "string") problems.push(ignoredKind(name, value.apiVersion));
    else reportMissing(at, "apiVersion", kind && `write apiVersion: ${kind.apiVersion}`);
    return { ref, problems };
  }
  const namespace = kind.clusterScoped ? "" : options.defaultNamespace;
  const metadata = decodeMetadata(value.metadata, enter(at, "metadata"), namespace);
  const fields = kind.decode(value, at);
  if (!metadata || !fields || problems.some(({ severity }) => severity === "error")) return { ref, problems };
  const origin = options.origin && { origin: options.origin };
  return { ref, problems, resource: { kind: name, metadata, ...origin, ...fields } as Resource };
}

function decodeWasmPlugin(value: JsonObject, at: Cursor): Fields | undefined {
  const known = ["apiVersion", "kind", "metadata", "spec", "status"];
  for (const key of Object.keys(value)) if (!known.includes(key)) warnUnknown(enter(at, key), key, known);
  const spec = decodeWasmPluginSpec(value.spec, enter(at, "spec"));
  return spec && ({ spec } as Fields);
}

function kindOf({ kind }: JsonObject, at: Cursor): string | undefined {
  if (typeof kind === "string" && kind !== "") return kind;
  if (kind === undefined || kind === null || kind === "") return reportMissing(at, "kind");
  return reportMismatch(enter(at, "kind"), "a string", kind);
}

function isKnownKind(kind: string): kind is ResourceKind {
  return Object.hasOwn(kinds, kind);
}

/** The reference of an object that may be broken, so that messages can name it. */
function refOfObject(
  kind: string,
  { metadata }: JsonObject,
  defaultNamespace: string,
): ResourceRef | undefined {
  if (!isObject(metadata) || typeof metadata.name !== "string" || !metadata.name) return undefined;
  const { namespace } = metadata;
  const own = typeof namespace === "string" && namespace !== "" && defaultNamespace !== "";
  return { kind, namespace: own ? namespace : defaultNamespace, name: metadata.name };
}

function ignoredKind(kind: string, apiVersion: string): Problem {
  const message = `${apiVersion} ${kind} is not read`;
  return { severity: "warning", code: "KIND_IGNORED", message, path: [], hint: hintFor(kind, apiVersion) };
}

function hintFor(kind: string, apiVersion: string): string | undefined {
  if (!isKnownKind(kind)) return undefined;
  const expected = kinds[kind].apiVersion;
  if (kind === "WasmPlugin" && apiVersion.startsWith("extensions.istio.io/"))
    return `this is Istio's WasmPlugin; for one of Higress write apiVersion: ${expected}`;
  return `write apiVersion: ${expected}`;
}
