const envoy = "type.googleapis.com/envoy";

/** The resource types of ADS. */
export const typeUrls = {
  cluster: `${envoy}.config.cluster.v3.Cluster`,
  endpoints: `${envoy}.config.endpoint.v3.ClusterLoadAssignment`,
  listener: `${envoy}.config.listener.v3.Listener`,
  routes: `${envoy}.config.route.v3.RouteConfiguration`,
  secret: `${envoy}.extensions.transport_sockets.tls.v3.Secret`,
  /** ECDS. */
  extensionConfig: `${envoy}.config.core.v3.TypedExtensionConfig`,
} as const;

/** The filters and options that listeners, clusters and ECDS resources hold. */
export const wasmTypeUrl = `${envoy}.extensions.filters.http.wasm.v3.Wasm`;
export const rbacTypeUrl = `${envoy}.extensions.filters.http.rbac.v3.RBAC`;
export const compositeTypeUrl = `${envoy}.extensions.filters.http.composite.v3.Composite`;
export const filterChainTypeUrl = `${envoy}.extensions.filters.http.filter_chain.v3.FilterChainConfig`;

/**
 * In which order the types of one snapshot are sent: what is referred to before what refers to it (make before break).
 * Types that are not listed come last, removals in the opposite order.
 */
export const pushOrder: readonly string[] = [
  typeUrls.cluster,
  typeUrls.endpoints,
  typeUrls.secret,
  typeUrls.extensionConfig,
  typeUrls.listener,
  typeUrls.routes,
];

/** Types of which a client must name the resources it wants: an empty list of names asks for nothing. */
const named: ReadonlySet<string> = new Set([
  typeUrls.endpoints,
  typeUrls.routes,
  typeUrls.secret,
  typeUrls.extensionConfig,
]);

/** Whether a subscription without names asks for everything. True for LDS, CDS and all types of MCP. */
export function isWildcardType(typeUrl: string): boolean {
  return !named.has(typeUrl);
}
