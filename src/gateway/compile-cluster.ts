import type { CircuitBreakers } from "../gen/envoy/config/cluster/v3/circuit_breaker_pb.ts";
import {
  type Cluster as ClusterMessage,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_DnsLookupFamily as DnsFamily,
  Cluster_LbPolicy as LbPolicy,
} from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { OutlierDetection as OutlierMessage } from "../gen/envoy/config/cluster/v3/outlier_detection_pb.ts";
import { RoutingPriority } from "../gen/envoy/config/core/v3/base_pb.ts";
import {
  type HttpProtocolOptions,
  HttpProtocolOptionsSchema,
} from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import type { CircuitLimits, Cluster, Endpoints, OutlierDetection } from "./cluster-config.ts";
import { compileEndpoints } from "./compile-endpoints.ts";
import { compileUpstreamTls } from "./compile-tls.ts";
import { decodeAny } from "./decode-any.ts";
import { durationMs } from "./duration.ts";
import { refuse, within } from "./refused-config.ts";

/** Compiles a cluster. The endpoints of one that EDS fills are empty still. */
export function compileCluster(cluster: ClusterMessage): Cluster {
  const { name } = cluster;
  if (name === "") refuse("name", "value length must be at least 1 characters");
  const discovery = discoveryOf(cluster);
  const options = protocolOptions(cluster);
  const common = options?.commonHttpProtocolOptions ?? cluster.commonHttpProtocolOptions;
  const panic = cluster.commonLbConfig?.healthyPanicThreshold?.value;
  const least = cluster.lbConfig.case === "leastRequestLbConfig" ? cluster.lbConfig.value : undefined;
  return {
    name,
    statName: cluster.altStatName || name,
    discovery,
    assignmentName: cluster.edsClusterConfig?.serviceName || name,
    endpoints: inlineEndpoints(cluster),
    lbPolicy: lbPolicyOf(cluster),
    choiceCount: least?.choiceCount ?? 2,
    panicThreshold: panic ?? 50,
    localityWeighted: cluster.commonLbConfig?.localityConfigSpecifier.case === "localityWeightedLbConfig",
    connectTimeoutMs: durationMs(cluster.connectTimeout, 5000),
    protocol: protocolOf(cluster, options),
    idleTimeoutMs: durationMs(common?.idleTimeout, 3_600_000),
    enableTrailers: hasTrailers(cluster, options),
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? cluster.maxRequestsPerConnection ?? 0,
    maxConnectionDurationMs: durationMs(common?.maxConnectionDuration, 0),
    maxConcurrentStreams: (http2Of(options) ?? cluster.http2ProtocolOptions)?.maxConcurrentStreams ?? 1024,
    limits: limitsOf(cluster.circuitBreakers, RoutingPriority.DEFAULT),
    highPriorityLimits: limitsOf(cluster.circuitBreakers, RoutingPriority.HIGH),
    outlierDetection: cluster.outlierDetection && compileOutlierDetection(cluster.outlierDetection),
    tls: within("transport_socket", () => compileTls(cluster, options)),
    dnsRefreshMs: durationMs(cluster.dnsRefreshRate, 5000),
    respectDnsTtl: cluster.respectDnsTtl,
    dnsFamily: dnsFamilies[cluster.dnsLookupFamily],
    bufferLimitBytes: cluster.perConnectionBufferLimitBytes ?? 1_048_576,
  };
}

const discoveries: Readonly<Record<DiscoveryType, Cluster["discovery"]>> = {
  [DiscoveryType.STATIC]: "static",
  [DiscoveryType.STRICT_DNS]: "strict_dns",
  [DiscoveryType.LOGICAL_DNS]: "logical_dns",
  [DiscoveryType.EDS]: "eds",
  [DiscoveryType.ORIGINAL_DST]: "original_dst",
};

function discoveryOf({ clusterDiscoveryType: by, edsClusterConfig }: ClusterMessage): Cluster["discovery"] {
  if (by.case === "clusterType") return refuse("cluster_type", `${by.value.name} is not supported`);
  const type = by.value ?? DiscoveryType.STATIC;
  if (type === DiscoveryType.ORIGINAL_DST) refuse("type", "ORIGINAL_DST is not supported");
  if (type === DiscoveryType.EDS && !edsClusterConfig) refuse("eds_cluster_config", "is required");
  return discoveries[type];
}

const policies: Readonly<Partial<Record<LbPolicy, Cluster["lbPolicy"]>>> = {
  [LbPolicy.ROUND_ROBIN]: "round_robin",
  [LbPolicy.LEAST_REQUEST]: "least_request",
  [LbPolicy.RANDOM]: "random",
};

function lbPolicyOf({ lbPolicy, loadBalancingPolicy, lbSubsetConfig }: ClusterMessage): Cluster["lbPolicy"] {
  if (loadBalancingPolicy) refuse("load_balancing_policy", "is not supported");
  if (lbSubsetConfig && lbSubsetConfig.subsetSelectors.length > 0)
    refuse("lb_subset_config", "is not supported");
  return policies[lbPolicy] ?? refuse("lb_policy", `${LbPolicy[lbPolicy] ?? lbPolicy} is not supported`);
}

const dnsFamilies: Readonly<Record<DnsFamily, Cluster["dnsFamily"]>> = {
  [DnsFamily.AUTO]: "auto",
  [DnsFamily.V4_ONLY]: "v4",
  [DnsFamily.V6_ONLY]: "v6",
  [DnsFamily.V4_PREFERRED]: "v4_preferred",
  [DnsFamily.ALL]: "all",
};

function inlineEndpoints({ name, loadAssignment }: ClusterMessage): Endpoints {
  if (!loadAssignment) return { name, localities: [], overprovisioningFactor: 140 };
  return within("load_assignment", () => compileEndpoints(loadAssignment));
}

function protocolOptions({ typedExtensionProtocolOptions }: ClusterMessage): HttpProtocolOptions | undefined {
  const any = typedExtensionProtocolOptions[HttpProtocolOptionsSchema.typeName];
  return any && within("typed_extension_protocol_options", () => decodeAny(HttpProtocolOptionsSchema, any));
}

function protocolOf(cluster: ClusterMessage, options: HttpProtocolOptions | undefined): Cluster["protocol"] {
  const by = options?.upstreamProtocolOptions;
  if (by?.case === "useDownstreamProtocolConfig") return "downstream";
  if (by?.case === "autoConfig") {
    if (cluster.transportSocket?.configType.value) return "auto";
    return refuse(
      "auto_config",
      `ALPN configured for cluster ${cluster.name} which has a non-ALPN transport socket`,
    );
  }
  if (by?.case === "explicitHttpConfig" && by.value.protocolConfig.case === "http3ProtocolOptions")
    refuse("http3_protocol_options", "is not supported");
  return http2Of(options) || cluster.http2ProtocolOptions ? "http2" : "http1";
}

function http2Of(options: HttpProtocolOptions | undefined) {
  const by = options?.upstreamProtocolOptions;
  if (by?.case === "explicitHttpConfig")
    return by.value.protocolConfig.case === "http2ProtocolOptions"
      ? by.value.protocolConfig.value
      : undefined;
  return by?.case === undefined ? undefined : by.value.http2ProtocolOptions;
}

function compileTls({ transportSocket }: ClusterMessage, options: HttpProtocolOptions | undefined) {
  const tls = compileUpstreamTls(transportSocket);
  return tls && { ...tls, autoSni: options?.upstreamHttpProtocolOptions?.autoSni ?? false };
}

function hasTrailers(cluster: ClusterMessage, options: HttpProtocolOptions | undefined): boolean {
  const by = options?.upstreamProtocolOptions;
  if (by?.case === "useDownstreamProtocolConfig" || by?.case === "autoConfig")
    return by.value.httpProtocolOptions?.enableTrailers ?? false;
  if (by?.case !== "explicitHttpConfig") return cluster.httpProtocolOptions?.enableTrailers ?? false;
  const { protocolConfig } = by.value;
  return protocolConfig.case === "httpProtocolOptions" && protocolConfig.value.enableTrailers;
}

function limitsOf(breakers: CircuitBreakers | undefined, priority: RoutingPriority): CircuitLimits {
  const limits = breakers?.thresholds.find((threshold) => threshold.priority === priority);
  const budget = limits?.retryBudget;
  return {
    maxConnections: limits?.maxConnections ?? 1024,
    maxPendingRequests: limits?.maxPendingRequests ?? 1024,
    maxRequests: limits?.maxRequests ?? 1024,
    maxRetries: limits?.maxRetries ?? 3,
    retryBudget: budget && {
      percent: budget.budgetPercent?.value ?? 20,
      minConcurrency: budget.minRetryConcurrency ?? 3,
    },
  };
}

/** Envoy's defaults, where a field is not there. */
function compileOutlierDetection(from: OutlierMessage): OutlierDetection {
  const baseEjectionMs = durationMs(from.baseEjectionTime, 30_000);
  return {
    consecutive5xx: from.consecutive5xx ?? 5,
    enforcingConsecutive5xx: from.enforcingConsecutive5xx ?? 100,
    consecutiveGatewayFailure: from.consecutiveGatewayFailure ?? 5,
    enforcingConsecutiveGatewayFailure: from.enforcingConsecutiveGatewayFailure ?? 0,
    consecutiveLocalOriginFailure: from.consecutiveLocalOriginFailure ?? 5,
    enforcingConsecutiveLocalOriginFailure: from.enforcingConsecutiveLocalOriginFailure ?? 100,
    splitLocalOrigin: from.splitExternalLocalOriginErrors,
    intervalMs: durationMs(from.interval, 10_000),
    baseEjectionMs,
    maxEjectionMs: durationMs(from.maxEjectionTime, Math.max(300_000, baseEjectionMs)),
    alwaysEjectOneHost: from.alwaysEjectOneHost ?? false,
    maxEjectionPercent: Math.min(from.maxEjectionPercent ?? 10, 100),
  };
}
