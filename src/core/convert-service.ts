import { create } from "@bufbuild/protobuf";
import {
  type ServiceEntry,
  ServiceEntry_Location,
  ServiceEntry_Resolution,
  ServiceEntrySchema,
} from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { sameItems } from "../incremental.ts";
import type { IstioConfig } from "../istio/config.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import {
  type EndpointSlice,
  type ResourceSet,
  refOf,
  type Service,
  type ServicePort,
} from "../resource/types.ts";
import { compareText, fullName, serviceHost } from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { keepUnchanged } from "./keep-unchanged.ts";
import { buildEndpoints, findSliceProblems } from "./service-endpoints.ts";
import { protocolOf } from "./service-protocol.ts";

/** What the Services become, in the order of namespace and name. */
export interface ConvertedServices {
  readonly serviceEntries: readonly IstioConfig<"ServiceEntry">[];
  readonly diagnostics: readonly Diagnostic[];
}

interface Converted {
  readonly slices: readonly EndpointSlice[];
  readonly entry: IstioConfig<"ServiceEntry"> | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

interface Memo {
  readonly services: readonly Service[];
  readonly endpointSlices: readonly EndpointSlice[];
  readonly result: ConvertedServices;
}

const converted = new WeakMap<Service, Converted>();
const memos = new WeakMap<ConvertOptions, Memo>();

/**
 * Converts each Service with its EndpointSlices into a ServiceEntry of the same namespace and name. An unchanged Service
 * keeps its object, and unchanged arrays give the same result.
 *
 * Unlike Higress, which leaves Services to its pilot's own watch of Kubernetes: our discovery knows what core tells it.
 */
export function convertServices(set: ResourceSet, options: ConvertOptions): ConvertedServices {
  const memo = memos.get(options);
  const { services, endpointSlices } = set;
  if (memo?.services === services && memo.endpointSlices === endpointSlices) return memo.result;
  const slicesOf = groupSlices(endpointSlices);
  const all = services
    .toSorted((a, b) => compareService(a, b))
    .map((service) => convertOnce(service, slicesOf.get(fullName(service)) ?? []));
  const entries = all.flatMap(({ entry }) => entry ?? []);
  const result = {
    serviceEntries: keepUnchanged(ServiceEntrySchema, memo?.result.serviceEntries ?? [], entries),
    diagnostics: all.flatMap(({ diagnostics }) => diagnostics),
  };
  memos.set(options, { services, endpointSlices, result });
  return result;
}

/** The Service that an EndpointSlice belongs to, "" if it belongs to none. */
export function sliceServiceName({ metadata }: EndpointSlice): string {
  return metadata.labels?.["kubernetes.io/service-name"] ?? "";
}

/** The ports of a Service that a gateway can reach, which are those over TCP. */
export function tcpPorts({ spec }: Service): readonly ServicePort[] {
  return (spec.ports ?? []).filter(({ protocol = "TCP" }) => protocol === "TCP");
}

function compareService(a: Service, b: Service): number {
  return (
    compareText(a.metadata.namespace, b.metadata.namespace) || compareText(a.metadata.name, b.metadata.name)
  );
}

/** Slices by `namespace/service`, each list in the order of names. */
function groupSlices(slices: readonly EndpointSlice[]): ReadonlyMap<string, readonly EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices.toSorted((a, b) => compareText(a.metadata.name, b.metadata.name))) {
    const key = `${slice.metadata.namespace}/${sliceServiceName(slice)}`;
    const group = groups.get(key);
    if (group) group.push(slice);
    else groups.set(key, [slice]);
  }
  return groups;
}

function convertOnce(service: Service, slices: readonly EndpointSlice[]): Converted {
  const known = converted.get(service);
  if (known && sameItems(known.slices, slices)) return known;
  const result = { slices, ...convertService(service, slices) };
  converted.set(service, result);
  return result;
}

function convertService(service: Service, slices: readonly EndpointSlice[]): Omit<Converted, "slices"> {
  const ports = tcpPorts(service);
  // An entry without ports is invalid for Istio and leads nowhere.
  if (ports.length === 0) return { entry: undefined, diagnostics: [] };
  if (service.spec.type === "ExternalName") return convertExternalName(service);
  const spec = create(ServiceEntrySchema, {
    ...commonFields(service),
    location: ServiceEntry_Location.MESH_INTERNAL,
    resolution: ServiceEntry_Resolution.STATIC,
    endpoints: [...buildEndpoints(slices, ports, entryPortName)],
  });
  return { entry: wrap(service, spec), diagnostics: findSliceProblems(slices, ports) };
}

/** An external name answers on the Service's own ports: there is nothing in between that could translate them. */
function convertExternalName(service: Service): Omit<Converted, "slices"> {
  const address = service.spec.externalName;
  if (!address) return { entry: undefined, diagnostics: [missingName(service)] };
  const spec = create(ServiceEntrySchema, {
    ...commonFields(service),
    location: ServiceEntry_Location.MESH_EXTERNAL,
    resolution: ServiceEntry_Resolution.DNS,
    endpoints: [{ address }],
  });
  return { entry: wrap(service, spec), diagnostics: [] };
}

function commonFields(service: Service) {
  const { namespace, name } = service.metadata;
  const ports = tcpPorts(service).map((port) => ({
    number: port.port,
    protocol: protocolOf(port),
    name: entryPortName(port),
  }));
  return { hosts: [serviceHost(namespace, name)], ports };
}

/** Istio rejects an entry whose port has no name, which Kubernetes allows to a Service's only port. */
function entryPortName(port: ServicePort): string {
  return port.name || `${protocolOf(port).toLowerCase()}-${port.port}`;
}

function wrap({ metadata }: Service, spec: ServiceEntry): IstioConfig<"ServiceEntry"> {
  return { kind: "ServiceEntry", namespace: metadata.namespace, name: metadata.name, spec };
}

function missingName(service: Service): Diagnostic {
  return {
    severity: "error",
    code: "MISSING_FIELD",
    message: "Service of type ExternalName has no externalName; it is left out",
    at: { ref: refOf(service), path: ["spec"], file: service.origin?.file },
    hint: "write spec.externalName with a DNS name",
  };
}
