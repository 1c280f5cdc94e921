import type { Resource } from "../resource/types.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { pullSecretName } from "./convert-resources.ts";
import { templateSecrets } from "./expand-templates.ts";
import { isOfClass } from "./ingress-accept.ts";

export interface SecretName {
  readonly namespace: string;
  readonly name: string;
}

/** The Secrets that conversion looks for because of a resource: certificates, pull secrets, and those of templates. */
export function referencedSecrets(resource: Resource, options: ConvertOptions): readonly SecretName[] {
  const { namespace } = resource.metadata;
  if (resource.kind === "Ingress") {
    if (!isOfClass(resource, options.ingressClass)) return [];
    return (resource.spec.tls ?? []).flatMap(({ secretName }) =>
      secretName ? [{ namespace, name: secretName }] : [],
    );
  }
  if (resource.kind !== "WasmPlugin" || namespace !== options.systemNamespace) return [];
  const pull = pullSecretName(resource);
  return [
    ...(pull ? [{ namespace, name: pull }] : []),
    ...templateSecrets(resource, options.systemNamespace),
  ];
}
