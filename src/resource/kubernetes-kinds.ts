import type { ObjectType } from "./read-object.ts";

/** A kind that is followed as a whole. */
export interface FollowedKind extends ObjectType {
  readonly plural: string;
  readonly clusterScoped?: boolean;
}

const networking = "networking.k8s.io/v1";

const wasmPlugin: FollowedKind = {
  apiVersion: "extensions.higress.io/v1alpha1",
  kind: "WasmPlugin",
  plural: "wasmplugins",
};
const ingress: FollowedKind = { apiVersion: networking, kind: "Ingress", plural: "ingresses" };
const ingressClass: FollowedKind = {
  apiVersion: networking,
  kind: "IngressClass",
  plural: "ingressclasses",
  clusterScoped: true,
};
const service: FollowedKind = { apiVersion: "v1", kind: "Service", plural: "services" };
const endpointSlice: FollowedKind = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  plural: "endpointslices",
};

/** Secrets are followed one by one, those that something refers to. */
export const secretKind: FollowedKind = { apiVersion: "v1", kind: "Secret", plural: "secrets" };

/** What is followed: a kind, in one namespace or everywhere. */
export interface Followed {
  readonly kind: FollowedKind;
  readonly namespace?: string;
}

/**
 * What a source follows. ConfigMaps are not among it, since conversion reads none.
 *
 * Unlike Higress: with one namespace to watch, WasmPlugins of the system namespace are seen all the same. There, they are
 * looked for in the watched namespace and taken from the system namespace only, so that none is ever seen. What needs
 * rights in the whole cluster is left out then: IngressClasses, whose names Ingresses bear anyway.
 */
export function followedKinds(systemNamespace: string, watchNamespace: string | undefined): Followed[] {
  if (!watchNamespace)
    return [wasmPlugin, ingress, ingressClass, service, endpointSlice].map((kind) => ({ kind }));
  const namespaces = new Set([systemNamespace, watchNamespace]);
  return [
    ...[...namespaces].map((namespace) => ({ kind: wasmPlugin, namespace })),
    ...[ingress, service, endpointSlice].map((kind) => ({ kind, namespace: watchNamespace })),
  ];
}

/** `/apis/group/version/plural`, `/api/v1/namespaces/name/plural`. */
export function collectionPath({ kind: { apiVersion, plural }, namespace }: Followed): string {
  const api = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace ? `${api}/namespaces/${encodeURIComponent(namespace)}/${plural}` : `${api}/${plural}`;
}

/** `wasmplugins.extensions.higress.io`, `services`: as kubectl takes it. */
export function resourceName({ apiVersion, plural }: FollowedKind): string {
  const [group, version] = apiVersion.split("/");
  return version === undefined ? plural : `${plural}.${group}`;
}
