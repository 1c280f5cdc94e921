import type { Method } from "../../src/kubernetes/client.ts";
import type { Manifest } from "./charts.ts";

/** The namespace of the installation. */
export const system = "higress-system";

/** A request to the API server; a PATCH is a server-side apply. */
export type Request = readonly [method: Method, path: string, body?: object];
const wasmPlugins = "/apis/extensions.higress.io/v1alpha1";
const leases = `/apis/coordination.k8s.io/v1/namespaces/${system}/leases`;
const events = (namespace: string) => `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
const review = ["POST", "/apis/authentication.k8s.io/v1/tokenreviews", tokenReview()] as const;
const status = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", status: {} };

/** What each role of an installation with `core.secretNamespaces: [shop]` may and may not do at the API server. */
export const rights: Readonly<
  Record<string, { readonly may: readonly Request[]; readonly mayNot: readonly Request[] }>
> = {
  core: {
    may: [
      ["GET", `${wasmPlugins}/wasmplugins`],
      ["GET", "/apis/networking.k8s.io/v1/ingresses"],
      ["GET", "/apis/networking.k8s.io/v1/ingressclasses"],
      ["GET", "/api/v1/services"],
      ["GET", "/apis/discovery.k8s.io/v1/endpointslices"],
      ["GET", `/api/v1/namespaces/${system}/secrets`],
      ["GET", "/api/v1/namespaces/shop/secrets"],
      ["PATCH", `${wasmPlugins}/namespaces/${system}/wasmplugins/marker/status`, status],
      ["POST", events(system), event(system)],
      ["PATCH", `${wasmPlugins}/namespaces/shop/wasmplugins/marker/status`, status],
      ["POST", events("shop"), event("shop")],
      ["POST", leases, lease("another")],
      ["GET", `${leases}/edge-wasmline-core`],
      ["GET", `${leases}?fieldSelector=metadata.name=edge-wasmline-core`],
      ["PUT", `${leases}/edge-wasmline-core`, lease("edge-wasmline-core")],
      review,
    ],
    mayNot: [
      ["GET", "/api/v1/secrets"],
      ["GET", "/api/v1/namespaces/elsewhere/secrets"],
      ["GET", "/api/v1/namespaces/kube-system/secrets"],
      ["GET", "/api/v1/pods"],
      ["GET", "/api/v1/namespaces"],
      ["PATCH", `${wasmPlugins}/namespaces/${system}/wasmplugins/marker`, status],
      ["DELETE", `${wasmPlugins}/namespaces/${system}/wasmplugins/marker`],
      ["GET", events(system)],
      ["GET", "/api/v1/configmaps"],
      ["GET", leases],
      ["PUT", `${leases}/somebody-else`, lease("somebody-else")],
      ["DELETE", `${leases}/edge-wasmline-core`],
      ["POST", `/api/v1/namespaces/${system}/serviceaccounts/edge-wasmline-gateway/token`, tokenRequest()],
    ],
  },
  discovery: {
    may: [review],
    mayNot: [
      ["GET", `${wasmPlugins}/wasmplugins`],
      ["GET", "/api/v1/services"],
      ["GET", `/api/v1/namespaces/${system}/secrets`],
      ["GET", `/api/v1/namespaces/${system}/configmaps`],
      ["POST", leases, lease("another")],
      ["POST", `/api/v1/namespaces/${system}/serviceaccounts/edge-wasmline-gateway/token`, tokenRequest()],
    ],
  },
  gateway: {
    may: [],
    mayNot: [
      ["GET", `${wasmPlugins}/namespaces/${system}/wasmplugins`],
      ["GET", `/api/v1/namespaces/${system}/secrets`],
      ["GET", `/api/v1/namespaces/${system}/configmaps`],
      ["GET", `/api/v1/namespaces/${system}/pods`],
      ["GET", "/api/v1/services"],
      ["POST", leases, lease("another")],
      review,
    ],
  },
};

/** A WasmPlugin that core takes. */
export function plugin(namespace: string, name = "marker"): Manifest {
  return {
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name, namespace },
    spec: { url: "oci://registry.example.com/marker:1.0.0", defaultConfig: {} },
  };
}

/** A Lease of the system namespace. */
export function lease(name: string): Manifest {
  return {
    apiVersion: "coordination.k8s.io/v1",
    kind: "Lease",
    metadata: { name, namespace: system },
    spec: { holderIdentity: "a", leaseDurationSeconds: 15 },
  };
}

function event(namespace: string): Manifest {
  return {
    apiVersion: "events.k8s.io/v1",
    kind: "Event",
    metadata: { name: "marker.1", namespace },
    ...{ eventTime: "2026-01-01T00:00:00.000000Z", reportingController: "edge-wasmline-core" },
    ...{
      reportingInstance: "core-0",
      action: "Convert",
      reason: "Accepted",
      note: "Accepted",
      type: "Normal",
    },
    regarding: {
      apiVersion: "extensions.higress.io/v1alpha1",
      kind: "WasmPlugin",
      name: "marker",
      namespace,
    },
  };
}

function tokenReview(): object {
  return {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    spec: { token: "none", audiences: ["istio-ca"] },
  };
}

function tokenRequest(): object {
  return { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", spec: { audiences: ["istio-ca"] } };
}
