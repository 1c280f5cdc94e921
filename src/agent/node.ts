import type { JsonObject } from "../resource/types.ts";

/** How the gateway names itself to discovery, `envoy.config.core.v3.Node` as JSON. */
export interface GatewayNode {
  readonly id: string;
  readonly cluster: string;
  readonly metadata: JsonObject;
}

export interface GatewayNodeOptions {
  /** The whole id, in place of the one made of the other fields. */
  readonly id?: string;
  readonly ip?: string;
  readonly name?: string;
  /** Selects resources together with the labels. Read from `id` where that is given and this is not. */
  readonly namespace?: string;
  /** What the selectors of Gateways and WasmPlugins must match. */
  readonly labels?: Readonly<Record<string, string>>;
  /** istiod takes a gateway without one for its own newest version. */
  readonly istioVersion?: string;
}

/** The labels that Higress's controller selects by, unless it is told otherwise. */
export const defaultLabels: Readonly<Record<string, string>> = { higress: "higress-system-higress-gateway" };

/**
 * The node of a gateway, `router~IP~NAME.NAMESPACE~NAMESPACE.svc.cluster.local` with Istio's metadata. PROXY_CONFIG is
 * there, though empty, because `istioctl proxy-status` lists only who has it; GENERATOR is not, because it would choose
 * another kind of configuration.
 */
export function gatewayNode(options: GatewayNodeOptions = {}): GatewayNode {
  const { ip = "127.0.0.1", name = "gateway", labels = defaultLabels, istioVersion } = options;
  const namespace = options.namespace ?? namespaceOf(options.id) ?? "higress-system";
  return {
    id: options.id ?? `router~${ip}~${name}.${namespace}~${namespace}.svc.cluster.local`,
    cluster: `${name}.${namespace}`,
    metadata: {
      CLUSTER_ID: "Kubernetes",
      ...(istioVersion === undefined ? {} : { ISTIO_VERSION: istioVersion }),
      LABELS: { ...labels },
      NAME: name,
      NAMESPACE: namespace,
      PROXY_CONFIG: {},
    },
  };
}

/** Istio's rule for a node without NAMESPACE: the first label of the DNS domain, the last of the four parts of its id. */
function namespaceOf(id: string | undefined): string | undefined {
  const parts = id?.split("~");
  return parts?.length === 4 ? parts[3]?.split(".")[0] || undefined : undefined;
}
