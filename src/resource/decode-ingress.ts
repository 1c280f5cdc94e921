import type { Cursor, Decoder } from "./decoder.ts";
import { enter, isObject, reportMissing } from "./decoder.ts";
import { int32, listOf, oneOf, record, string } from "./decoders.ts";
import type { Ingress, IngressBackend, IngressPath, IngressRule } from "./types.ts";

type Backend = Exclude<IngressBackend["service"], undefined>;
type TypedReference = Exclude<IngressBackend["resource"], undefined>;
type Tls = Exclude<Ingress["spec"]["tls"], undefined>[number];

const backendFields = record<IngressBackend>({
  service: record<Backend>(
    { name: string, port: record<Exclude<Backend["port"], undefined>>({ number: int32, name: string }) },
    "name",
  ),
  resource: record<TypedReference>({ apiGroup: string, kind: string, name: string }, "kind", "name"),
});

const backend: Decoder<IngressBackend> = (value, at) => {
  if (isObject(value) && !value.service && !value.resource)
    return reportMissing(at, "service", "name the service that the traffic goes to");
  return backendFields(value, at);
};

const rule = record<IngressRule>({
  host: string,
  http: record<{ paths: readonly IngressPath[] }>(
    {
      paths: listOf(
        record<IngressPath>(
          { path: string, pathType: oneOf("Exact", "Prefix", "ImplementationSpecific"), backend },
          "backend",
        ),
      ),
    },
    "paths",
  ),
});

const ingressSpec = record<Ingress["spec"]>({
  ingressClassName: string,
  defaultBackend: backend,
  tls: listOf(record<Tls>({ hosts: listOf(string), secretName: string })),
  rules: listOf(rule),
});

export function decodeIngressSpec(value: unknown, at: Cursor): Ingress["spec"] | undefined {
  return ingressSpec(value ?? null, enter(at, "spec"));
}
