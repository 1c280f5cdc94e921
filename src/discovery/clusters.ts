import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import {
  type Cluster,
  ClusterSchema,
  Cluster_DiscoveryType as DiscoveryType,
  Cluster_LbPolicy as LbPolicy,
} from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { LbEndpointSchema } from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { HttpProtocolOptionsSchema } from "../gen/envoy/extensions/upstreams/http/v3/http_protocol_options_pb.ts";
import {
  ServiceEntry_Resolution as Resolution,
  type ServiceEntry,
  type ServicePort,
} from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { getOrCreate } from "../get-or-create.ts";
import type { IstioConfig } from "../istio/config.ts";
import { encodeResource, type SnapshotResource } from "../xds/snapshot.ts";
import { adsSource } from "./listeners.ts";

/** Istio's name of a cluster, the one that plugins see as `cluster_name`. */
export function clusterName(port: number, host: string, subset = ""): string {
  return `outbound|${port}|${subset}|${host}`;
}

/** The clusters of a ServiceEntry, one for each host and port, and the endpoints of those that EDS fills. */
export interface ServiceClusters {
  readonly clusters: readonly SnapshotResource[];
  readonly endpoints: readonly SnapshotResource[];
}

const built = new WeakMap<IstioConfig<"ServiceEntry">, ServiceClusters>();

/** Builds a ServiceEntry's clusters, once for each ServiceEntry. */
export function buildClusters(entry: IstioConfig<"ServiceEntry">): ServiceClusters {
  return getOrCreate(built, entry, () => buildServiceClusters(entry.spec));
}

function buildServiceClusters(spec: ServiceEntry): ServiceClusters {
  const pairs = spec.hosts.flatMap((host) =>
    spec.ports.map((port) => ({ name: clusterName(port.number, host), host, port })),
  );
  const clusters = pairs.map(({ name, host, port }) =>
    encodeResource(name, ClusterSchema, toCluster(name, host, port, spec)),
  );
  if (isDns(spec)) return { clusters, endpoints: [] };
  const endpoints = pairs.map(({ name, port }) =>
    encodeResource(name, ClusterLoadAssignmentSchema, loadAssignment(name, port, spec)),
  );
  return { clusters, endpoints };
}

function isDns({ resolution }: ServiceEntry): boolean {
  return resolution === Resolution.DNS || resolution === Resolution.DNS_ROUND_ROBIN;
}

function toCluster(name: string, host: string, port: ServicePort, spec: ServiceEntry): Cluster {
  const shared = {
    name,
    connectTimeout: { seconds: 10n },
    lbPolicy: LbPolicy.LEAST_REQUEST,
    circuitBreakers: { thresholds: [unlimited] },
    typedExtensionProtocolOptions: isHttp2(port) ? http2Options : {},
  };
  if (!isDns(spec)) {
    return create(ClusterSchema, {
      ...shared,
      clusterDiscoveryType: { case: "type", value: DiscoveryType.EDS },
      edsClusterConfig: { edsConfig: adsSource, serviceName: name },
    });
  }
  const targets =
    spec.endpoints.length > 0 ? spec : { ...spec, endpoints: [{ address: host, ports: {}, weight: 0 }] };
  return create(ClusterSchema, {
    ...shared,
    clusterDiscoveryType: { case: "type", value: DiscoveryType.STRICT_DNS },
    dnsRefreshRate: { seconds: 60n },
    respectDnsTtl: true,
    loadAssignment: loadAssignment(name, port, targets),
  });
}

/** Istio's limits: none. Envoy's own default of 1,024 requests fails a busy gateway. */
const unlimited = {
  maxConnections: 4294967295,
  maxPendingRequests: 4294967295,
  maxRequests: 4294967295,
  maxRetries: 4294967295,
};

const http2Options = {
  "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": anyPack(
    HttpProtocolOptionsSchema,
    create(HttpProtocolOptionsSchema, {
      upstreamProtocolOptions: {
        case: "explicitHttpConfig",
        value: { protocolConfig: { case: "http2ProtocolOptions", value: {} } },
      },
    }),
  ),
};

function isHttp2({ protocol }: ServicePort): boolean {
  return /^(http2|h2c|grpc)/i.test(protocol);
}

interface Targets {
  readonly endpoints: readonly Pick<ServiceEntry["endpoints"][number], "address" | "ports" | "weight">[];
}

function loadAssignment(name: string, port: ServicePort, { endpoints }: Targets): ClusterLoadAssignment {
  const serving = endpoints.flatMap(({ address, ports, weight }) => {
    const target =
      ports[port.name] ?? (Object.keys(ports).length === 0 ? port.targetPort || port.number : undefined);
    return target === undefined ? [] : [{ address, target, weight: weight || 1 }];
  });
  const lbEndpoints: MessageInitShape<typeof LbEndpointSchema>[] = serving.map(
    ({ address, target, weight }) => ({
      hostIdentifier: {
        case: "endpoint",
        value: {
          address: {
            address: {
              case: "socketAddress",
              value: { address, portSpecifier: { case: "portValue", value: target } },
            },
          },
        },
      },
      loadBalancingWeight: weight,
    }),
  );
  return create(ClusterLoadAssignmentSchema, {
    clusterName: name,
    endpoints: serving.length > 0 ? [{ lbEndpoints, loadBalancingWeight: 1 }] : [],
  });
}
