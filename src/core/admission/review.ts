import { isDeepStrictEqual } from "node:util";
import { decodeResource } from "../../resource/decode.ts";
import { isObject } from "../../resource/decoder.ts";
import { type Diagnostic, type FieldPath, formatPath } from "../../resource/diagnostic.ts";
import type { JsonObject, Resource, WasmPlugin } from "../../resource/types.ts";
import type { ConvertOptions } from "../convert-options.ts";
import { convertWasmPlugin } from "../convert-wasm-plugin.ts";

/** `admission.k8s.io/v1` AdmissionRequest, as far as it is read. */
export interface AdmissionRequest {
  readonly uid: string;
  readonly operation?: string;
  readonly name?: string;
  readonly object?: unknown;
  readonly oldObject?: unknown;
}

/** `admission.k8s.io/v1` AdmissionResponse. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: {
    readonly code: number;
    readonly reason: string;
    readonly message: string;
    /** With these kubectl says of each field what is wrong, as it does for what a schema refuses. */
    readonly details: {
      readonly kind: string;
      readonly name: string;
      readonly causes: readonly { reason: string; message: string; field: string }[];
    };
  };
  readonly warnings?: readonly string[];
}

/** What is remarked on an object, by itself: what other objects there are plays no part. */
interface Remark {
  readonly severity: "error" | "warning";
  readonly message: string;
  readonly hint?: string;
  readonly path: FieldPath;
}

/** The API server cuts longer ones. */
const maxWarningLength = 256;
const maxWarnings = 16;

/**
 * Decides on a WasmPlugin: what could not be read or converted is refused with every error, each with its field. What
 * depends on other objects, such as a Secret that is not there yet, is no reason to refuse: they may come.
 */
export function reviewWasmPlugin(request: AdmissionRequest, options: ConvertOptions): AdmissionResponse {
  const { uid, object } = request;
  const remarks = remarksOn(object, options);
  const warnings = warningsOf(remarks.filter(({ severity }) => severity === "warning"));
  const errors = remarks.filter(({ severity }) => severity === "error");
  if (errors.length === 0) return { uid, allowed: true, warnings };
  // Who has to take a finalizer off an object that was broken before must be able to.
  if (isSpecUnchanged(request) || isLeaving(object))
    return { uid, allowed: true, warnings: [...warnings, ...warningsOf(errors)] };
  return {
    uid,
    allowed: false,
    status: {
      code: 422,
      reason: "Invalid",
      message: errors.map(textOf).join("; "),
      details: {
        kind: "WasmPlugin",
        name: request.name ?? "",
        causes: errors.map((error) => ({
          reason: "FieldValueInvalid",
          message: withHint(error),
          field: formatPath(error.path),
        })),
      },
    },
    warnings,
  };
}

function remarksOn(object: unknown, options: ConvertOptions): readonly Remark[] {
  const { resource, problems } = decodeResource(object, { defaultNamespace: options.systemNamespace });
  if (!resource || !isWasmPlugin(resource)) return problems;
  const { diagnostics } = convertWasmPlugin(resource, options);
  return [...problems, ...namespaceRemarks(resource, options), ...diagnostics.map(toRemark)];
}

function isWasmPlugin(resource: Resource): resource is WasmPlugin {
  return resource.kind === "WasmPlugin";
}

function toRemark({ severity, message, hint, at }: Diagnostic): Remark {
  return { severity, message, hint, path: at.path ?? [] };
}

function namespaceRemarks({ metadata }: WasmPlugin, { systemNamespace }: ConvertOptions): readonly Remark[] {
  if (metadata.namespace === systemNamespace) return [];
  const message = `only WasmPlugins in ${JSON.stringify(systemNamespace)} take effect`;
  return [{ severity: "warning", message, path: ["metadata", "namespace"] }];
}

function textOf(remark: Remark): string {
  const path = formatPath(remark.path);
  return path === "" ? withHint(remark) : `${path}: ${withHint(remark)}`;
}

function withHint({ message, hint }: Remark): string {
  return hint === undefined ? message : `${message} (${hint})`;
}

function warningsOf(remarks: readonly Remark[]): readonly string[] {
  return remarks.slice(0, maxWarnings).map((remark) => textOf(remark).slice(0, maxWarningLength));
}

function isSpecUnchanged({ operation, object, oldObject }: AdmissionRequest): boolean {
  if (operation !== "UPDATE" || !isObject(object) || !isObject(oldObject)) return false;
  return isDeepStrictEqual(object.spec, oldObject.spec);
}

function isLeaving(object: unknown): boolean {
  return isObject(object) && (object.metadata as JsonObject | undefined)?.deletionTimestamp !== undefined;
}
