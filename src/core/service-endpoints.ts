import { create } from "@bufbuild/protobuf";
import {
  type WorkloadEntry,
  WorkloadEntrySchema,
} from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import { type EndpointSlice, refOf, type ServicePort } from "../resource/types.ts";

type Endpoint = NonNullable<EndpointSlice["endpoints"]>[number];
type PortNumbers = Readonly<Record<string, number>>;

/**
 * The addresses behind a Service, each once, with the port that each Service port leads to there. Service ports and
 * slice ports belong together by their Kubernetes name, "" where there is none; `entryName` is their name in the entry.
 */
export function buildEndpoints(
  slices: readonly EndpointSlice[],
  ports: readonly ServicePort[],
  entryName: (port: ServicePort) => string,
): readonly WorkloadEntry[] {
  const entries = new Map<string, WorkloadEntry>();
  for (const slice of slices) {
    const numbers = matchPorts(slice, ports, entryName);
    if (slice.addressType === "FQDN" || Object.keys(numbers).length === 0) continue;
    const addresses = (slice.endpoints ?? [])
      .filter(takesRequests)
      .flatMap(({ addresses = [] }) => addresses);
    for (const address of addresses) {
      const key = JSON.stringify([address, numbers]);
      if (!entries.has(key)) entries.set(key, create(WorkloadEntrySchema, { address, ports: numbers }));
    }
  }
  return [...entries.values()];
}

/** What is wrong with the EndpointSlices of a Service that can be seen from the Service. */
export function findSliceProblems(
  slices: readonly EndpointSlice[],
  ports: readonly ServicePort[],
): readonly Diagnostic[] {
  return slices.flatMap((slice) => findSliceProblem(slice, ports) ?? []);
}

function findSliceProblem(slice: EndpointSlice, ports: readonly ServicePort[]): Diagnostic | undefined {
  const at = { ref: refOf(slice), file: slice.origin?.file };
  if (slice.addressType === "FQDN") {
    return {
      severity: "warning",
      code: "BACKEND_UNSUPPORTED",
      message: "addressType is FQDN, expected IPv4 or IPv6; its endpoints are left out",
      at: { ...at, path: ["addressType"] },
      hint: "use a Service of type ExternalName for a backend that has a name",
    };
  }
  const named = slice.ports ?? [];
  if (named.length === 0 || named.some((port) => ports.some((wanted) => sameName(port, wanted))))
    return undefined;
  const list = (items: readonly { name?: string }[]) =>
    items.map(({ name = "" }) => JSON.stringify(name)).join(", ");
  return {
    severity: "warning",
    code: "PORT_NOT_FOUND",
    message: `ports are named ${list(named)}, the Service's ports ${list(ports)}; its endpoints are left out`,
    at: { ...at, path: ["ports"] },
    hint: "give the port of the EndpointSlice the name of the Service's port, or both none",
  };
}

/** A slice port without number means all ports, and so the one that the Service names. */
function matchPorts(
  slice: EndpointSlice,
  ports: readonly ServicePort[],
  entryName: (port: ServicePort) => string,
): PortNumbers {
  return Object.fromEntries(
    ports.flatMap((wanted) => {
      const found = slice.ports?.find((port) => sameName(port, wanted));
      if (!found) return [];
      const target = typeof wanted.targetPort === "number" ? wanted.targetPort : wanted.port;
      return [[entryName(wanted), found.port ?? target]];
    }),
  );
}

function sameName(a: { readonly name?: string }, b: { readonly name?: string }): boolean {
  return (a.name ?? "") === (b.name ?? "");
}

/** Ready unless it says otherwise, as Kubernetes wants unknown readiness read. */
function takesRequests({ conditions }: Endpoint): boolean {
  return conditions?.ready !== false && conditions?.terminating !== true;
}
