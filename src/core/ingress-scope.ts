import type { Diagnostic, DiagnosticCode, FieldPath, Location } from "../resource/diagnostic.ts";
import { type Ingress, type ResourceSet, refOf, type Secret, type Service } from "../resource/types.ts";
import { fullName } from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";

/** What the conversion of Ingresses looks things up in, and where it leaves its remarks. Lives for one conversion. */
export interface IngressScope {
  readonly options: ConvertOptions;
  /** By `namespace/name`, as `secrets`. */
  readonly services: ReadonlyMap<string, Service>;
  readonly secrets: ReadonlyMap<string, Secret>;
  readonly diagnostics: Diagnostic[];
  readonly serviceUses: ServiceUse[];
}

/** A backend that refers to a Service which exists. */
export interface ServiceUse {
  readonly service: Service;
  readonly at: Location;
}

/** An Ingress that counts, with what its annotations ask for and its rules whose hosts are usable. */
export interface AcceptedIngress {
  readonly ingress: Ingress;
  readonly httpsRedirect: boolean;
  readonly rules: readonly HostRule[];
}

/** A rule with its place in `spec.rules`. A rule without host is for `*`. */
export interface HostRule {
  readonly index: number;
  readonly host: string;
}

export interface Remark {
  readonly severity: Diagnostic["severity"];
  readonly code: DiagnosticCode;
  readonly path: FieldPath;
  readonly message: string;
  readonly hint?: string;
}

export function createIngressScope(set: ResourceSet, options: ConvertOptions): IngressScope {
  return {
    options,
    services: byName(set.services),
    secrets: byName(set.secrets),
    diagnostics: [],
    serviceUses: [],
  };
}

/** Adds a diagnostic that points into an Ingress. */
export function report(scope: IngressScope, ingress: Ingress, { path, ...remark }: Remark): void {
  scope.diagnostics.push({ ...remark, at: placeIn(ingress, path) });
}

/** A place in an Ingress; line and column are found later, from its text. */
export function placeIn(ingress: Ingress, path: FieldPath): Location {
  return { ref: refOf(ingress), path, file: ingress.origin?.file };
}

function byName<T extends Service | Secret>(resources: readonly T[]): ReadonlyMap<string, T> {
  return new Map(resources.map((resource) => [fullName(resource), resource]));
}
