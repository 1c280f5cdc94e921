import type { ResourceRef } from "./types.ts";

/** Every kind of remark about what a user wrote. A code is part of the interface; its text may change. */
export type DiagnosticCode =
  | "ANNOTATION_IGNORED"
  | "BACKEND_NOT_FOUND"
  | "BACKEND_UNSUPPORTED"
  | "COMPILE_ERROR"
  | "DUPLICATE_RESOURCE"
  | "DUPLICATE_ROUTE"
  | "FILE_UNREADABLE"
  | "INGRESS_NOT_FOUND"
  | "INVALID_VALUE"
  | "KIND_IGNORED"
  | "LAST_GOOD_KEPT"
  | "MISSING_FIELD"
  | "NAMESPACE_IGNORED"
  | "PORT_NOT_FOUND"
  | "RULE_NO_MATCH"
  | "SECRET_INVALID"
  | "SECRET_NOT_FOUND"
  | "SECRET_UNREADABLE"
  | "SERVICE_NOT_FOUND"
  | "TEMPLATE_INVALID"
  | "UNKNOWN_FIELD"
  | "YAML_SYNTAX";

/** A path into a resource: `["spec", "matchRules", 1]`. */
export type FieldPath = readonly (string | number)[];

/** Where a diagnostic points. `line` and `column` count from 1. */
export interface Location {
  readonly ref?: ResourceRef;
  readonly path?: FieldPath;
  readonly file?: string;
  readonly line?: number;
  readonly column?: number;
}

/** A remark for the person who wrote a resource: what is wrong, where, and what to do. */
export interface Diagnostic {
  readonly severity: "error" | "warning";
  readonly code: DiagnosticCode;
  /** What is wrong, with the value found and what was expected; lower case, no full stop. */
  readonly message: string;
  readonly at: Location;
  /** What to do. */
  readonly hint?: string;
}

/** What the user wrote is wrong. Carries every diagnostic, not only the first. */
export class ResourceError extends Error {
  readonly diagnostics: readonly Diagnostic[];

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(formatDiagnostic).join("\n"));
    this.name = "ResourceError";
    this.diagnostics = diagnostics;
  }
}

/** `a.yaml:5:5: error RULE_NO_MATCH: rule has no domain … (WasmPlugin ns/name spec.matchRules[1])`, hint on a second line. */
export function formatDiagnostic({ severity, code, message, at, hint }: Diagnostic): string {
  const place =
    at.file === undefined
      ? ""
      : `${[at.file, at.line, at.column].filter((part) => part !== undefined).join(":")}: `;
  const subject = [at.ref && formatRef(at.ref), at.path?.length ? formatPath(at.path) : undefined]
    .filter(Boolean)
    .join(" ");
  return `${place}${severity} ${code}: ${message}${subject && ` (${subject})`}${hint ? `\n  hint: ${hint}` : ""}`;
}

/** `WasmPlugin higress-system/key-auth`. */
export function formatRef({ kind, namespace, name }: ResourceRef): string {
  return `${kind} ${namespace ? `${namespace}/` : ""}${name}`;
}

/** `spec.matchRules[1].config`. Keys that are no plain words are quoted: `data["tls.crt"]`. */
export function formatPath(path: FieldPath): string {
  return path
    .map((part, index) => {
      if (typeof part === "number") return `[${part}]`;
      if (!/^[\w-]+$/.test(part)) return `[${JSON.stringify(part)}]`;
      return index === 0 ? part : `.${part}`;
    })
    .join("");
}
