import type { TlsCertificate, TlsValidation, TlsVersion } from "./gateway-config.ts";

/** An upstream cluster with its endpoints as they are known. */
export interface Cluster {
  readonly name: string;
  /** `alt_stat_name`, else the name. */
  readonly statName: string;
  readonly discovery: "static" | "strict_dns" | "logical_dns" | "eds" | "original_dst";
  /** EDS: the name of the assignment. */
  readonly assignmentName: string;
  readonly endpoints: Endpoints;
  readonly lbPolicy: "round_robin" | "least_request" | "random" | "ring_hash" | "maglev" | "cluster_provided";
  /** Of least request: how many are compared. */
  readonly choiceCount: number;
  /** Localities get shares by their weights: `locality_weighted_lb_config`. */
  readonly localityWeighted: boolean;
  /** Of the panic threshold: percent of hosts that must be healthy, or all are used. 0 for never all. */
  readonly panicThreshold: number;
  readonly connectTimeoutMs: number;
  /** `auto`: what TLS agrees on; `downstream`: what the client's request came over. */
  readonly protocol: "http1" | "http2" | "auto" | "downstream";
  /** Of a connection to an endpoint without streams; 0 for no limit. */
  readonly idleTimeoutMs: number;
  /** 0 for no limit. */
  readonly maxRequestsPerConnection: number;
  /** HTTP/1 has trailers: without, as in Envoy, they are dropped. */
  readonly enableTrailers: boolean;
  /** Of a connection; 0 for no limit. */
  readonly maxConnectionDurationMs: number;
  /** HTTP/2: of one connection. */
  readonly maxConcurrentStreams: number;
  readonly limits: CircuitLimits;
  /** Those for requests of priority HIGH. */
  readonly highPriorityLimits: CircuitLimits;
  readonly outlierDetection: OutlierDetection | undefined;
  readonly tls: UpstreamTls | undefined;
  readonly dnsRefreshMs: number;
  readonly respectDnsTtl: boolean;
  readonly dnsFamily: "auto" | "v4" | "v6" | "v4_preferred" | "all";
  readonly bufferLimitBytes: number;
}

/** A cluster load assignment, or what a cluster holds inline. */
export interface Endpoints {
  readonly name: string;
  readonly localities: readonly Locality[];
  /** Percent; what priorities with too few healthy hosts are multiplied by is `overprovisioningFactor`/100. */
  readonly overprovisioningFactor: number;
}

export interface Locality {
  readonly priority: number;
  readonly region: string;
  readonly zone: string;
  readonly subZone: string;
  readonly weight: number;
  readonly endpoints: readonly Endpoint[];
}

export interface Endpoint {
  /** An IP address, or a name with STRICT_DNS; of a pipe, its path. */
  readonly address: string;
  /** 0 with a pipe. */
  readonly port: number;
  readonly hostname: string;
  readonly weight: number;
  readonly health: "healthy" | "degraded" | "unhealthy" | "draining";
}

export interface CircuitLimits {
  readonly maxConnections: number;
  readonly maxPendingRequests: number;
  readonly maxRequests: number;
  readonly maxRetries: number;
  /** In place of `maxRetries`: percent of the requests that are under way, and how many may be in any case. */
  readonly retryBudget: { readonly percent: number; readonly minConcurrency: number } | undefined;
}

/** Passive ejection. Times in milliseconds; percentages of hosts or of requests. */
export interface OutlierDetection {
  readonly consecutive5xx: number;
  readonly enforcingConsecutive5xx: number;
  readonly consecutiveGatewayFailure: number;
  readonly enforcingConsecutiveGatewayFailure: number;
  readonly consecutiveLocalOriginFailure: number;
  readonly enforcingConsecutiveLocalOriginFailure: number;
  readonly splitLocalOrigin: boolean;
  readonly intervalMs: number;
  readonly baseEjectionMs: number;
  readonly maxEjectionMs: number;
  readonly maxEjectionPercent: number;
  /** Whatever the percentage. */
  readonly alwaysEjectOneHost: boolean;
}

export interface UpstreamTls {
  readonly sni: string;
  /** The request's host in place of `sni`. */
  readonly autoSni?: boolean;
  readonly alpn: readonly string[];
  readonly certificateNames: readonly string[];
  readonly certificates: readonly TlsCertificate[];
  readonly validation: TlsValidation | undefined;
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
}
