import { create } from "@bufbuild/protobuf";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { getOrCreate } from "../get-or-create.ts";
import {
  buildIncrementally,
  flatMapIncrementally,
  mapIncrementally,
  sameItems,
  sortIncrementally,
  whenChanged,
} from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import type { EndpointSlice, Ingress, ResourceSet, Secret, Service } from "../resource/types.ts";
import {
  clusterIdAnnotation,
  compareText,
  fullName,
  gatewayName,
  virtualServiceName,
} from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { sliceServiceName } from "./convert-service.ts";
import { compareIngresses, isOfClass } from "./ingress-accept.ts";
import type { Certificates } from "./ingress-certificates.ts";
import { createGatewayBuilder } from "./ingress-gateways.ts";
import { buildRoutes, type Route } from "./ingress-routes.ts";
import type { ServiceUse } from "./ingress-scope.ts";
import { keepSame } from "./keep-unchanged.ts";
import { type IngressLookups, type ReadIngress, readIngress } from "./read-ingress.ts";

/** What the Ingresses become, each list in the order of its names. */
export interface ConvertedIngresses {
  readonly gateways: readonly IstioConfig<"Gateway">[];
  readonly virtualServices: readonly IstioConfig<"VirtualService">[];
  /** The certificates that Gateways refer to. */
  readonly secrets: readonly IstioConfig<"Secret">[];
  readonly diagnostics: readonly Diagnostic[];
}

type ConvertSet = (set: ResourceSet) => ConvertedIngresses;

const conversions = new WeakMap<ConvertOptions, ConvertSet>();

/**
 * Converts the Ingresses of our class as Higress does: a Gateway and a VirtualService for each host, in the system
 * namespace, and the Secrets with the hosts' certificates.
 *
 * Called again with the same options object it does no work for what did not change: the same arrays give the same
 * lists, an Ingress that is the same object is not read again, and a host that nothing happened to keeps its objects.
 */
export function convertIngresses(set: ResourceSet, options: ConvertOptions): ConvertedIngresses {
  return getOrCreate(conversions, options, () => createConversion(options))(set);
}

function createConversion(options: ConvertOptions): ConvertSet {
  const read = createReading(options);
  const combine = createCombination(options);
  const converted = whenChanged(
    (
      ingresses: ResourceSet["ingresses"],
      services: ResourceSet["services"],
      secrets: ResourceSet["secrets"],
    ) => combine(read(ingresses, services, secrets)),
  );
  const idleServicesAmong = whenChanged(createIdleSearch);
  const complete = whenChanged(
    ({ serviceUses, ...result }: Combined, slices: ResourceSet["endpointSlices"]): ConvertedIngresses => ({
      ...result,
      diagnostics: [...result.diagnostics, ...idleServicesAmong(slices)(serviceUses)],
    }),
  );
  return ({ ingresses, services, secrets, endpointSlices }) =>
    complete(converted(ingresses, services, secrets), endpointSlices);
}

/** Reads the Ingresses of our class, in Higress' order. */
function createReading(options: ConvertOptions) {
  const inOrder = sortIncrementally(compareIngresses);
  const servicesByName = whenChanged(byFullName<Service>);
  const secretsByName = whenChanged(byFullName<Secret>);
  const readEach = whenChanged((services: IngressLookups["services"], secrets: IngressLookups["secrets"]) =>
    mapIncrementally((ingress: Ingress) =>
      isOfClass(ingress, options.ingressClass)
        ? readIngress(ingress, { services, secrets }, options)
        : undefined,
    ),
  );
  return (ingresses: readonly Ingress[], services: readonly Service[], secrets: readonly Secret[]) =>
    readEach(
      servicesByName(services),
      secretsByName(secrets),
    )(inOrder(ingresses)).filter((read) => read !== undefined);
}

interface Combined extends ConvertedIngresses {
  readonly serviceUses: readonly ServiceUse[];
}

const nothing: Combined = {
  gateways: [],
  virtualServices: [],
  secrets: [],
  diagnostics: [],
  serviceUses: [],
};

/** Puts together what each Ingress says. */
function createCombination(options: ConvertOptions): (all: readonly ReadIngress[]) => Combined {
  const gateways = createGatewayBuilder(options);
  const virtualServices = buildIncrementally(
    (host: string, routes: readonly Route[], before: IstioConfig<"VirtualService"> | undefined) =>
      keepSame(VirtualServiceSchema, before, buildVirtualService(host, routes, options)),
  );
  const sortGateways = sortIncrementally<IstioConfig<"Gateway">>(byName);
  const sortVirtualServices = sortIncrementally<IstioConfig<"VirtualService">>(byName);
  const offersOf = flatMapIncrementally(({ offers }: ReadIngress) => (offers ? [offers] : []));
  const diagnosticsOf = flatMapIncrementally(({ diagnostics }: ReadIngress) => diagnostics);
  const usesOf = flatMapIncrementally(({ serviceUses }: ReadIngress) => serviceUses);
  const certificatesOf = flatMapIncrementally((read: ReadIngress) => read.certificates);
  const collectCertificates = whenChanged(certificatesByName);
  let last = nothing;
  return (all) => {
    const offers = offersOf(all);
    const remarks = { diagnostics: [...diagnosticsOf(all)] };
    const routes = buildRoutes(offers, remarks);
    const certificates = collectCertificates(certificatesOf(all));
    const accepted = offers.map(({ from }) => from);
    const secrets = [...certificates.values()].sort(byName);
    last = {
      gateways: sortGateways(gateways(accepted, routes, certificates, remarks)),
      virtualServices: sortVirtualServices(virtualServices(routes)),
      // A Secret that did not change is the same object already.
      secrets: sameItems(last.secrets, secrets) ? last.secrets : secrets,
      diagnostics: remarks.diagnostics,
      serviceUses: usesOf(all),
    };
    return last;
  };
}

function certificatesByName(configs: readonly IstioConfig<"Secret">[]): Certificates {
  return new Map(configs.map((config) => [`${config.namespace}/${config.name}`, config]));
}

function byFullName<T extends Service | Secret>(resources: readonly T[]): ReadonlyMap<string, T> {
  return new Map(resources.map((resource) => [fullName(resource), resource]));
}

function byName(a: IstioConfig, b: IstioConfig): number {
  return compareText(a.namespace, b.namespace) || compareText(a.name, b.name);
}

/**
 * Unlike Higress: bound to the host's Gateway only. Higress lists a second one, `<cluster id>-<host>`, which another
 * product makes.
 */
function buildVirtualService(
  host: string,
  routes: readonly Route[],
  { clusterId, systemNamespace }: ConvertOptions,
): IstioConfig<"VirtualService"> {
  return {
    kind: "VirtualService",
    namespace: systemNamespace,
    name: virtualServiceName(routes[0]!.from.ingress, host),
    annotations: { [clusterIdAnnotation]: clusterId },
    spec: create(VirtualServiceSchema, {
      hosts: [host],
      gateways: [gatewayName(host)],
      http: routes.map((route) => route.http),
    }),
  };
}

/** Finds Services that Ingresses refer to and that no EndpointSlice belongs to. Whether its endpoints are ready is no fault of a file. */
function createIdleSearch(
  slices: readonly EndpointSlice[],
): (uses: readonly ServiceUse[]) => readonly Diagnostic[] {
  const served = new Set(slices.map((slice) => `${slice.metadata.namespace}/${sliceServiceName(slice)}`));
  const isIdle = ({ service }: ServiceUse) =>
    service.spec.type !== "ExternalName" && !served.has(fullName(service));
  const search = mapIncrementally((use: ServiceUse) =>
    isIdle(use) ? getOrCreate(idleServices, use, () => idleService(use)) : undefined,
  );
  return (uses) => search(uses).filter((idle) => idle !== undefined);
}

/** The same object while the use is: there can be thousands, and each is put into words once. */
const idleServices = new WeakMap<ServiceUse, Diagnostic>();

function idleService({ service, at }: ServiceUse): Diagnostic {
  return {
    severity: "warning",
    code: "BACKEND_NOT_FOUND",
    message: `Service ${service.metadata.name} has no EndpointSlice; requests get 503 until there is one`,
    at,
    hint: "write an EndpointSlice with the label kubernetes.io/service-name, or run the Pods that the Service selects",
  };
}
