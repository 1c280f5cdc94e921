import type { Address } from "../gen/envoy/config/core/v3/address_pb.ts";
import { HealthStatus } from "../gen/envoy/config/core/v3/health_check_pb.ts";
import type {
  LbEndpoint,
  LocalityLbEndpoints,
} from "../gen/envoy/config/endpoint/v3/endpoint_components_pb.ts";
import type { ClusterLoadAssignment } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import type { Endpoint, Endpoints, Locality } from "./cluster-config.ts";
import { refuse, within, withinEach } from "./refused-config.ts";

/** Envoy's default, in percent. */
const defaultOverprovisioning = 140;

/** Compiles a cluster load assignment. */
export function compileEndpoints({ clusterName, endpoints, policy }: ClusterLoadAssignment): Endpoints {
  if (clusterName === "") refuse("cluster_name", "value length must be at least 1 characters");
  return {
    name: clusterName,
    localities: withinEach("endpoints", endpoints, compileLocality),
    overprovisioningFactor: policy?.overprovisioningFactor ?? defaultOverprovisioning,
  };
}

function compileLocality({
  locality,
  lbConfig,
  lbEndpoints,
  loadBalancingWeight,
  priority,
}: LocalityLbEndpoints): Locality {
  if (lbConfig.case === "ledsClusterLocalityConfig")
    refuse("leds_cluster_locality_config", "is not supported");
  if (priority > 128) refuse("priority", "value must be less than or equal to 128");
  const members = lbConfig.case === "loadBalancerEndpoints" ? lbConfig.value.lbEndpoints : lbEndpoints;
  return {
    priority,
    region: locality?.region ?? "",
    zone: locality?.zone ?? "",
    subZone: locality?.subZone ?? "",
    weight: loadBalancingWeight ?? 1,
    endpoints: withinEach("lb_endpoints", members, compileEndpoint),
  };
}

const health: Readonly<Record<HealthStatus, Endpoint["health"]>> = {
  [HealthStatus.UNKNOWN]: "healthy",
  [HealthStatus.HEALTHY]: "healthy",
  [HealthStatus.UNHEALTHY]: "unhealthy",
  [HealthStatus.DRAINING]: "draining",
  [HealthStatus.TIMEOUT]: "unhealthy",
  [HealthStatus.DEGRADED]: "degraded",
};

function compileEndpoint({ hostIdentifier, healthStatus, loadBalancingWeight }: LbEndpoint): Endpoint {
  if (hostIdentifier.case !== "endpoint") return refuse("host_identifier", "must be an endpoint");
  const { address, hostname } = hostIdentifier.value;
  if (loadBalancingWeight === 0) refuse("load_balancing_weight", "value must be greater than or equal to 1");
  return {
    ...within("endpoint.address", () => readAddress(address)),
    hostname,
    weight: loadBalancingWeight ?? 1,
    health: health[healthStatus],
  };
}

/** Reads where something listens: an IP address or name with a port, or a pipe's path with port 0. */
export function readAddress(address: Address | undefined): Pick<Endpoint, "address" | "port"> {
  const by = address?.address;
  if (by?.case === "pipe") return { address: by.value.path, port: 0 };
  if (by?.case !== "socketAddress") return refuse("", "must be a socket_address or a pipe");
  const { portSpecifier: port } = by.value;
  if (port.case === "namedPort") return refuse("named_port", "is not supported");
  if ((port.value ?? 0) > 65_535) refuse("port_value", "value must be less than or equal to 65535");
  return { address: by.value.address, port: port.value ?? 0 };
}
