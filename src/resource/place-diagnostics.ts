import type { Diagnostic } from "./diagnostic.ts";
import { locate } from "./locate.ts";
import { type Resource, type ResourceSet, refKey, refOf } from "./types.ts";

/**
 * Fills in file, line and column of diagnostics that name a resource and a path. Reads positions only for these: they
 * cost a second parse of the document.
 */
export function placeDiagnostics(
  diagnostics: readonly Diagnostic[],
  set: ResourceSet,
): readonly Diagnostic[] {
  if (diagnostics.length === 0) return diagnostics;
  const resources: readonly Resource[] = Object.values(set).flat();
  const byRef = new Map(resources.map((resource) => [refKey(refOf(resource)), resource]));
  return diagnostics.map((diagnostic) => {
    const { ref, path, line } = diagnostic.at;
    const origin = ref && line === undefined ? byRef.get(refKey(ref))?.origin : undefined;
    if (!origin || !path) return diagnostic;
    return { ...diagnostic, at: { ...diagnostic.at, file: origin.file, ...locate(origin, path) } };
  });
}
