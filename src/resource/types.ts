/** Any JSON value, as plugin configurations hold it. */
export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: JsonValue;
}

/** Names a resource. `namespace` is "" for what has none (IngressClass). */
export interface ResourceRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** Where a resource was read: the text of its YAML document and the line at which that starts in its file, from 1. */
export interface Origin {
  readonly file: string;
  /** Not a part of what a resource is: it follows the text when lines are added above. */
  line: number;
  readonly text: string;
  /** Where the resource stands within its document, for an item of a List: `["items", 3]`. */
  readonly path?: readonly (string | number)[];
}

export interface ObjectMeta {
  readonly name: string;
  readonly namespace: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Absent for a resource that comes from a file. */
  readonly server?: ServerMeta;
}

/** What only an API server knows of a resource. */
export interface ServerMeta {
  readonly uid: string;
  /** Counts the changes of what its user wrote; 0 where the kind has none. */
  readonly generation: number;
  /** RFC 3339, in seconds. */
  readonly creationTimestamp: string;
}

interface ResourceBase<K extends string> {
  readonly kind: K;
  readonly metadata: ObjectMeta;
  /** Absent for a resource that comes from an API server. */
  readonly origin?: Origin;
}

/**
 * `spec` of `extensions.higress.io/v1alpha1` WasmPlugin, as the reference decodes it: unset fields are undefined, enums
 * are numbers (the reference lets unknown numbers pass). Enum values: phase 0 unspecified, 1 AUTHN, 2 AUTHZ, 3 STATS;
 * imagePullPolicy 0 unspecified, 1 IfNotPresent, 2 Always; failStrategy 0 FAIL_CLOSE, 1 FAIL_OPEN; routeType 0 HTTP,
 * 1 GRPC; valueFrom 0 INLINE, 1 HOST.
 */
export interface WasmPluginSpec {
  readonly url: string;
  readonly sha256: string;
  readonly imagePullPolicy: number;
  readonly imagePullSecret: string;
  readonly verificationKey: string;
  readonly pluginConfig?: JsonObject;
  readonly pluginName: string;
  readonly phase: number;
  readonly priority?: number;
  readonly vmConfig?: { readonly env: readonly EnvVar[] };
  readonly failStrategy: number;
  readonly defaultConfig?: JsonObject;
  readonly matchRules: readonly MatchRule[];
  readonly defaultConfigDisable?: boolean;
}

export interface EnvVar {
  readonly name: string;
  readonly value: string;
  readonly valueFrom: number;
}

export interface MatchRule {
  readonly ingress: readonly string[];
  readonly domain: readonly string[];
  readonly service: readonly string[];
  readonly config?: JsonObject;
  readonly configDisable?: boolean;
  readonly routeType: number;
}

/** A Higress WasmPlugin, as its user wrote it. */
export interface WasmPlugin extends ResourceBase<"WasmPlugin"> {
  readonly spec: WasmPluginSpec;
}

/** `networking.k8s.io/v1` Ingress. */
export interface Ingress extends ResourceBase<"Ingress"> {
  readonly spec: {
    readonly ingressClassName?: string;
    readonly defaultBackend?: IngressBackend;
    readonly tls?: readonly { readonly hosts?: readonly string[]; readonly secretName?: string }[];
    readonly rules?: readonly IngressRule[];
  };
}

export interface IngressRule {
  readonly host?: string;
  readonly http?: { readonly paths: readonly IngressPath[] };
}

export interface IngressPath {
  readonly path?: string;
  readonly pathType?: "Exact" | "Prefix" | "ImplementationSpecific";
  readonly backend: IngressBackend;
}

export interface IngressBackend {
  readonly service?: {
    readonly name: string;
    readonly port?: { readonly number?: number; readonly name?: string };
  };
  readonly resource?: { readonly apiGroup?: string; readonly kind: string; readonly name: string };
}

/** `networking.k8s.io/v1` IngressClass. */
export interface IngressClass extends ResourceBase<"IngressClass"> {
  readonly spec: { readonly controller?: string };
}

/** `v1` Service. */
export interface Service extends ResourceBase<"Service"> {
  readonly spec: {
    readonly type?: string;
    readonly externalName?: string;
    readonly clusterIP?: string;
    readonly ports?: readonly ServicePort[];
  };
}

export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly protocol?: string;
  readonly appProtocol?: string;
  readonly targetPort?: number | string;
}

/** `discovery.k8s.io/v1` EndpointSlice. Its service is named by the label `kubernetes.io/service-name`. */
export interface EndpointSlice extends ResourceBase<"EndpointSlice"> {
  readonly addressType?: string;
  readonly endpoints?: readonly {
    readonly addresses?: readonly string[];
    readonly conditions?: {
      readonly ready?: boolean;
      readonly serving?: boolean;
      readonly terminating?: boolean;
    };
  }[];
  readonly ports?: readonly { readonly name?: string; readonly port?: number; readonly protocol?: string }[];
}

/** `v1` Secret. `data` holds decoded bytes, `stringData` merged over it as Kubernetes does. */
export interface Secret extends ResourceBase<"Secret"> {
  readonly type: string;
  readonly data: Readonly<Record<string, Uint8Array>>;
  /** Why nothing is known of it, where something refers to it and the API server does not give it. */
  readonly unreadable?: string;
}

/** `v1` ConfigMap. */
export interface ConfigMap extends ResourceBase<"ConfigMap"> {
  readonly data: Readonly<Record<string, string>>;
}

export type Resource = WasmPlugin | Ingress | IngressClass | Service | EndpointSlice | Secret | ConfigMap;
export type ResourceKind = Resource["kind"];

/** All that users have written, as of now. What is unchanged keeps its identity from one set to the next. */
export interface ResourceSet {
  readonly wasmPlugins: readonly WasmPlugin[];
  readonly ingresses: readonly Ingress[];
  readonly ingressClasses: readonly IngressClass[];
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly secrets: readonly Secret[];
  readonly configMaps: readonly ConfigMap[];
}

export const emptyResourceSet: ResourceSet = {
  wasmPlugins: [],
  ingresses: [],
  ingressClasses: [],
  services: [],
  endpointSlices: [],
  secrets: [],
  configMaps: [],
};

export function refOf(resource: Resource): ResourceRef {
  const { kind, metadata } = resource;
  return { kind, namespace: metadata.namespace, name: metadata.name };
}

/** A map key for a reference, `kind/namespace/name`. */
export function refKey({ kind, namespace, name }: ResourceRef): string {
  return `${kind}/${namespace}/${name}`;
}
