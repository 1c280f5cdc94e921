import type { KubernetesClient } from "../src/kubernetes/client.ts";
import { loadYaml } from "../src/resource/yaml.ts";
import { pluginText } from "./generate-plugins.ts";

/** Where objects of a kind are, in a namespace. */
export const pluginsIn = (namespace: string) =>
  `/apis/extensions.higress.io/v1alpha1/namespaces/${namespace}/wasmplugins`;
export const ingressesPath = "/apis/networking.k8s.io/v1/namespaces/default/ingresses";
export const servicesPath = "/api/v1/namespaces/default/services";
export const slicesPath = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";

export const serviceCount = 200;

/** A WasmPlugin with rules, as it is after an edit. */
export function pluginOf(index: number, rules: number, edit = 0) {
  const loaded = loadYaml(pluginText(index, rules).replace(/limit: \d+/, `limit: ${edit || 1}`));
  if (!("value" in loaded)) throw new Error("the generated plugin is broken");
  return loaded.value as { readonly spec: object };
}

/** A plugin that answers requests for a host by itself, with `value` in the header `key1`. */
export function answeringPlugin(name: string, priority: number, host: string, value: string) {
  const config = { headers: [`key1=${value}`], body: "{}" };
  return {
    ...{ apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin", metadata: { name } },
    spec: {
      url: "oci://higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins/custom-response:1.0.0",
      ...{ phase: "AUTHN", priority, matchRules: [{ domain: [host], config }] },
    },
  };
}

export function ingressOf(
  index: number,
  host = `h${index}.example.com`,
  service = `service-${index % serviceCount}`,
  port = 80,
) {
  const backend = { service: { name: service, port: { number: port } } };
  return {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: `ingress-${index}` } },
    spec: {
      ingressClassName: "higress",
      rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
    },
  };
}

export function serviceOf(index: number) {
  return {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name: `service-${index}` } },
    spec: { ports: [{ port: 80 }] },
  };
}

/** What a controller would make for a Service with one Pod. */
export function sliceOf(index: number) {
  const labels = { "kubernetes.io/service-name": `service-${index}` };
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
    metadata: { name: `service-${index}-x`, labels },
    addressType: "IPv4",
    endpoints: [{ addresses: [`10.1.0.${(index % 250) + 1}`], conditions: { ready: true } }],
    ports: [{ port: 8080, protocol: "TCP" }],
  };
}

/** Creates objects, 32 at a time. */
export async function createAll(
  api: KubernetesClient,
  count: number,
  path: string,
  bodyOf: (index: number) => object,
): Promise<void> {
  let next = 0;
  const work = async () => {
    while (next < count) await api.request("POST", path, { body: bodyOf(next++) });
  };
  await Promise.all(Array.from({ length: 32 }, work));
}

/** Changes an object's spec. */
export async function patchSpec(api: KubernetesClient, path: string, spec: object): Promise<void> {
  await api.request("PATCH", path, { body: { spec }, contentType: "application/merge-patch+json" });
}
