import { getOrCreate } from "../get-or-create.ts";
import type { Diagnostic, FieldPath } from "./diagnostic.ts";
import { locate, type Position } from "./locate.ts";
import { type Origin, type Resource, type ResourceSet, refKey, refOf } from "./types.ts";

/** Positions within a document: it is read a second time for each, so once for each diagnostic is enough. */
const positions = new WeakMap<Diagnostic, { readonly text: string } & Position>();

/** Fills in file, line and column, as of now, of diagnostics that name a resource and a path. */
export function placeDiagnostics(
  diagnostics: readonly Diagnostic[],
  set: ResourceSet,
): readonly Diagnostic[] {
  // Of what comes from an API server nothing has a place in a file.
  if (!diagnostics.some(({ at }) => at.file !== undefined && at.line === undefined)) return diagnostics;
  const resources: readonly Resource[] = Object.values(set).flat();
  const origins = new Map(resources.map((resource) => [refKey(refOf(resource)), resource.origin]));
  return diagnostics.map((diagnostic) => {
    const { ref, path, line } = diagnostic.at;
    const origin = ref && line === undefined ? origins.get(refKey(ref)) : undefined;
    return origin && path ? place(diagnostic, path, origin) : diagnostic;
  });
}

function place(diagnostic: Diagnostic, path: FieldPath, origin: Origin): Diagnostic {
  const start = { ...origin, line: 1 };
  const known = positions.get(diagnostic);
  if (known?.text !== origin.text) positions.delete(diagnostic);
  const { line, column } = getOrCreate(positions, diagnostic, () => ({
    text: origin.text,
    ...locate(start, path),
  }));
  return { ...diagnostic, at: { ...diagnostic.at, file: origin.file, line: line + origin.line - 1, column } };
}
