import type { JsonObject } from "@bufbuild/protobuf";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";
import { isBehindOwnAgent } from "../xds/own-agent.ts";

/** What discovery needs to know of a gateway to say what it gets. Gateways with the same answer share a snapshot. */
export interface ProxyNode {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Which Secrets it may have. */
  readonly secrets: SecretAccess;
  /** In which shape it gets its plugins. */
  readonly chain: ChainShape;
}

/** Whose certificates, registry credentials and values from Secrets a gateway gets. */
export type SecretAccess = "all" | "own-namespace" | "none";

/**
 * Where the order of the plugins is: in the listener, a filter for each plugin, or in ECDS resources that the listener
 * has a filter for each phase for.
 */
export type ChainShape = "listener" | "dynamic";

/** Envoy's filter that holds other filters; an Envoy that has it lists it among its extensions. */
const filterChainExtension = "envoy.filters.http.filter_chain";

/**
 * Reads a node as istiod does: the namespace is `metadata.NAMESPACE`, else the first label of the DNS domain in
 * `type~ip~name.ns~domain`; the labels are `metadata.LABELS`. A node gets no dynamic
 * chain where its Envoy lacks the filter for it, or no agent of ours is there to pull the modules within.
 */
export function proxyOf(node: Node, secrets: SecretAccess, chain: ChainShape = "listener"): ProxyNode {
  const metadata: JsonObject = node.metadata ?? {};
  const labels = typeof metadata.LABELS === "object" && metadata.LABELS !== null ? metadata.LABELS : {};
  const strings = Object.entries(labels).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return {
    namespace: namespaceOf(node),
    labels: Object.fromEntries(strings.sort(([a], [b]) => (a < b ? -1 : 1))),
    secrets,
    chain: hasFilterChain(node) && isBehindOwnAgent(node) ? chain : "listener",
  };
}

/** The namespace of a node as istiod reads it, "" where it says none. */
export function namespaceOf({ id, metadata }: Node): string {
  if (typeof metadata?.NAMESPACE === "string") return metadata.NAMESPACE;
  return (id.split("~")[3] ?? "").split(".")[0] ?? "";
}

/** Whether a gateway may have a Secret of a namespace. */
export function mayHaveSecret({ secrets, namespace }: ProxyNode, secretNamespace: string): boolean {
  return secrets === "all" || (secrets === "own-namespace" && secretNamespace === namespace);
}

function hasFilterChain({ extensions }: Node): boolean {
  return extensions.some(({ name, disabled }) => name === filterChainExtension && !disabled);
}

/** Whether a selector's labels are all among a proxy's. An empty selector selects everything. */
export function selects(matchLabels: Readonly<Record<string, string>>, { labels }: ProxyNode): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}
