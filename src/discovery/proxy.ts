import type { JsonObject } from "@bufbuild/protobuf";
import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";

/** What discovery needs to know of a gateway to say what it gets. Gateways with the same answer share a snapshot. */
export interface ProxyNode {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Whether it may see registry credentials. */
  readonly trusted: boolean;
  /** In which shape it gets its plugins. */
  readonly chain: ChainShape;
}

/**
 * Where the order of the plugins is: in the listener, a filter for each plugin, or in ECDS resources that the listener
 * has a filter for each phase for.
 */
export type ChainShape = "listener" | "dynamic";

/** Envoy's filter that holds other filters; an Envoy that has it lists it among its extensions. */
const filterChainExtension = "envoy.filters.http.filter_chain";

/**
 * Reads a node as istiod does: the namespace is `metadata.NAMESPACE`, else the first label of the DNS domain in
 * `type~ip~name.ns~domain`; the labels are `metadata.LABELS`. A node whose Envoy lacks the filter for it gets no dynamic chain.
 */
export function proxyOf(node: Node, trusted: boolean, chain: ChainShape = "listener"): ProxyNode {
  const metadata: JsonObject = node.metadata ?? {};
  const domain = node.id.split("~")[3] ?? "";
  const namespace =
    typeof metadata.NAMESPACE === "string" ? metadata.NAMESPACE : (domain.split(".")[0] ?? "");
  const labels = typeof metadata.LABELS === "object" && metadata.LABELS !== null ? metadata.LABELS : {};
  const strings = Object.entries(labels).filter(
    (entry): entry is [string, string] => typeof entry[1] === "string",
  );
  return {
    namespace,
    labels: Object.fromEntries(strings.sort(([a], [b]) => (a < b ? -1 : 1))),
    trusted,
    chain: hasFilterChain(node) ? chain : "listener",
  };
}

function hasFilterChain({ extensions }: Node): boolean {
  return extensions.some(({ name, disabled }) => name === filterChainExtension && !disabled);
}

/** Whether a selector's labels are all among a proxy's. An empty selector selects everything. */
export function selects(matchLabels: Readonly<Record<string, string>>, { labels }: ProxyNode): boolean {
  return Object.entries(matchLabels).every(([key, value]) => labels[key] === value);
}
