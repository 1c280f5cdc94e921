import type { Diagnostic, DiagnosticCode, FieldPath, Location } from "../resource/diagnostic.ts";
import { type Ingress, refOf, type Secret, type Service } from "../resource/types.ts";
import type { ConvertOptions } from "./convert-options.ts";

/** Where remarks about Ingresses are left. */
export interface Remarks {
  readonly diagnostics: Diagnostic[];
}

/** What the reading of one Ingress looks things up in, and where it leaves what it finds. */
export interface IngressScope extends Remarks {
  readonly options: ConvertOptions;
  /** By `namespace/name`, as `findSecret`. */
  readonly findService: (name: string) => Service | undefined;
  readonly findSecret: (name: string) => Secret | undefined;
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
  /** The hosts of its rules, each once. */
  readonly hosts: readonly string[];
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

/** Adds a diagnostic that points into an Ingress. */
export function report(remarks: Remarks, ingress: Ingress, { path, ...remark }: Remark): void {
  remarks.diagnostics.push({ ...remark, at: placeIn(ingress, path) });
}

/** A place in an Ingress; line and column are found later, from its text. */
export function placeIn(ingress: Ingress, path: FieldPath): Location {
  return { ref: refOf(ingress), path, file: ingress.origin?.file };
}
