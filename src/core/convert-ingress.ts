import { create } from "@bufbuild/protobuf";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { sameItems } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import type { EndpointSlice, ResourceSet } from "../resource/types.ts";
import {
  clusterIdAnnotation,
  compareText,
  fullName,
  gatewayName,
  virtualServiceName,
} from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { sliceServiceName } from "./convert-service.ts";
import { acceptIngresses } from "./ingress-accept.ts";
import { readCertificates } from "./ingress-certificates.ts";
import { buildGateways } from "./ingress-gateways.ts";
import { buildRoutes, type RoutesByHost } from "./ingress-routes.ts";
import { createIngressScope, type ServiceUse } from "./ingress-scope.ts";
import { keepUnchanged } from "./keep-unchanged.ts";

/** What the Ingresses become, each list in the order of its names. */
export interface ConvertedIngresses {
  readonly gateways: readonly IstioConfig<"Gateway">[];
  readonly virtualServices: readonly IstioConfig<"VirtualService">[];
  /** The certificates that Gateways refer to. */
  readonly secrets: readonly IstioConfig<"Secret">[];
  readonly diagnostics: readonly Diagnostic[];
}

interface Conversion extends ConvertedIngresses {
  readonly serviceUses: readonly ServiceUse[];
}

interface Memo {
  readonly inputs: readonly unknown[];
  readonly conversion: Conversion;
  readonly endpointSlices: readonly EndpointSlice[];
  readonly result: ConvertedIngresses;
}

/** The last conversion under some options. */
const memos = new WeakMap<ConvertOptions, Memo>();

/**
 * Converts the Ingresses of our class as Higress does: a Gateway and a VirtualService for each host, in the system
 * namespace, and the Secrets with the hosts' certificates.
 *
 * Called again with the same options object it does no work for what did not change: the same arrays give the same
 * lists, and a host that nothing happened to keeps its objects.
 */
export function convertIngresses(set: ResourceSet, options: ConvertOptions): ConvertedIngresses {
  const memo = memos.get(options);
  const inputs = [set.ingresses, set.services, set.secrets];
  const conversion =
    memo && sameItems(memo.inputs, inputs) ? memo.conversion : convertAll(set, options, memo);
  if (memo?.conversion === conversion && memo.endpointSlices === set.endpointSlices) return memo.result;
  const { serviceUses, ...converted } = conversion;
  const diagnostics = [...converted.diagnostics, ...findIdleServices(serviceUses, set.endpointSlices)];
  const result = { ...converted, diagnostics };
  memos.set(options, { inputs, conversion, endpointSlices: set.endpointSlices, result });
  return result;
}

function convertAll(set: ResourceSet, options: ConvertOptions, memo: Memo | undefined): Conversion {
  const scope = createIngressScope(set, options);
  const accepted = acceptIngresses(set.ingresses, scope);
  const routes = buildRoutes(accepted, scope);
  const certificates = readCertificates(accepted, scope);
  const gateways = buildGateways(accepted, routes, certificates, scope);
  const previous = memo?.conversion;
  const secrets = [...certificates.values()].sort(byName);
  return {
    gateways: keepUnchanged(GatewaySchema, previous?.gateways ?? [], gateways.toSorted(byName)),
    virtualServices: keepUnchanged(
      VirtualServiceSchema,
      previous?.virtualServices ?? [],
      buildVirtualServices(routes, options).toSorted(byName),
    ),
    // A Secret that did not change is the same object already.
    secrets: previous && sameItems(previous.secrets, secrets) ? previous.secrets : secrets,
    diagnostics: scope.diagnostics,
    serviceUses: scope.serviceUses,
  };
}

function byName(a: IstioConfig, b: IstioConfig): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

/**
 * Unlike Higress: bound to the host's Gateway only. Higress lists a second one, `<cluster id>-<host>`, which another
 * product makes.
 */
function buildVirtualServices(
  routes: RoutesByHost,
  options: ConvertOptions,
): readonly IstioConfig<"VirtualService">[] {
  return [...routes].map(([host, list]) => ({
    kind: "VirtualService",
    namespace: options.systemNamespace,
    name: virtualServiceName(list[0]!.from.ingress, host),
    annotations: { [clusterIdAnnotation]: options.clusterId },
    spec: create(VirtualServiceSchema, {
      hosts: [host],
      gateways: [gatewayName(host)],
      http: list.map((route) => route.http),
    }),
  }));
}

/** Services that Ingresses refer to and that no EndpointSlice belongs to. Whether its endpoints are ready is no fault of a file. */
function findIdleServices(
  uses: readonly ServiceUse[],
  slices: readonly EndpointSlice[],
): readonly Diagnostic[] {
  const served = new Set(slices.map((slice) => `${slice.metadata.namespace}/${sliceServiceName(slice)}`));
  return uses
    .filter(({ service }) => service.spec.type !== "ExternalName" && !served.has(fullName(service)))
    .map(({ service, at }) => ({
      severity: "warning",
      code: "BACKEND_NOT_FOUND",
      message: `Service ${service.metadata.name} has no EndpointSlice; requests get 503 until there is one`,
      at,
      hint: "write an EndpointSlice with the label kubernetes.io/service-name, or run the Pods that the Service selects",
    }));
}
