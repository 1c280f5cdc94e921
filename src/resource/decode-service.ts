import { type Cursor, enter } from "./decoder.ts";
import { bool, int32, intOrString, listOf, record, string } from "./decoders.ts";
import type { EndpointSlice, IngressClass, Service, ServicePort } from "./types.ts";

const serviceSpec = record<Service["spec"]>({
  type: string,
  externalName: string,
  clusterIP: string,
  ports: listOf(
    record<ServicePort>(
      { name: string, port: int32, protocol: string, appProtocol: string, targetPort: intOrString },
      "port",
    ),
  ),
});

export function decodeServiceSpec(value: unknown, at: Cursor): Service["spec"] | undefined {
  return serviceSpec(value ?? null, enter(at, "spec"));
}

const ingressClassSpec = record<IngressClass["spec"]>({ controller: string });

export function decodeIngressClassSpec(value: unknown, at: Cursor): IngressClass["spec"] | undefined {
  return ingressClassSpec(value ?? null, enter(at, "spec"));
}

type EndpointSliceFields = Pick<EndpointSlice, "addressType" | "endpoints" | "ports">;
type Endpoint = Exclude<EndpointSlice["endpoints"], undefined>[number];
type EndpointPort = Exclude<EndpointSlice["ports"], undefined>[number];

/** The fields of an EndpointSlice, which has no `spec`. */
export const decodeEndpointSliceFields = record<EndpointSliceFields>({
  addressType: string,
  endpoints: listOf(
    record<Endpoint>({
      addresses: listOf(string),
      conditions: record<Exclude<Endpoint["conditions"], undefined>>({
        ready: bool,
        serving: bool,
        terminating: bool,
      }),
    }),
  ),
  ports: listOf(record<EndpointPort>({ name: string, port: int32, protocol: string })),
});
