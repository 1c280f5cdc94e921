import type { Diagnostic } from "./diagnostic.ts";
import { type ParsedFile, type ParseOptions, parseDocuments } from "./parse.ts";
import type { SourceFile } from "./source-state.ts";
import { type Resource, type ResourceRef, refKey, refOf } from "./types.ts";

/** What is known of a file: what it says, and what it said before and is kept because the file is broken now. */
export interface KnownFile extends SourceFile {
  readonly parsed: ParsedFile;
}

export const unknownFile: KnownFile = {
  resources: [],
  diagnostics: [],
  parsed: { resources: [], diagnostics: [], broken: 0, documents: [] },
};

/** A file with the text that was read from it. While it is broken, nothing disappears that it defined before. */
export function acceptText(before: KnownFile, text: string, file: string, options: ParseOptions): KnownFile {
  const parsed = parseDocuments(text, file, { ...options, previous: before.parsed });
  if (parsed === before.parsed && before.diagnostics === parsed.diagnostics) return before;
  if (parsed.broken === 0) return { parsed, resources: parsed.resources, diagnostics: parsed.diagnostics };
  return { parsed, ...withKept(before.resources, parsed.resources, parsed.diagnostics) };
}

/** A file that is there but cannot be read: all that it defined stays. */
export function acceptUnreadable(before: KnownFile, file: string, reason: string): KnownFile {
  const diagnostic: Diagnostic = {
    severity: "error",
    code: "FILE_UNREADABLE",
    message: `cannot be read: ${reason}`,
    at: { file },
  };
  return { parsed: before.parsed, ...withKept(before.resources, [], [diagnostic]) };
}

/** What is good now, and what was good before and is not there now: nothing disappears by an error. */
export function withKept(
  before: readonly Resource[],
  good: readonly Resource[],
  diagnostics: readonly Diagnostic[],
): SourceFile {
  const now = new Set(good.map((resource) => refKey(refOf(resource))));
  const kept = before.filter((resource) => !now.has(refKey(refOf(resource))));
  return {
    resources: [...good, ...kept],
    diagnostics: [...diagnostics, ...kept.map((resource) => lastGoodKept(resource, diagnostics))],
  };
}

/** The warning stands beside the error of the same resource, or else beside the first of the file. */
function lastGoodKept(resource: Resource, diagnostics: readonly Diagnostic[]): Diagnostic {
  const ref = refOf(resource);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  const cause = errors.find(({ at }) => at.ref && isSameRef(at.ref, ref)) ?? errors[0];
  const { file, line, column } = cause?.at ?? {};
  return {
    severity: "warning",
    code: "LAST_GOOD_KEPT",
    message: "the version before this error stays in effect",
    at: { ref, file, line, column },
    hint:
      file === undefined
        ? "correct the error, or delete the resource"
        : "correct the error; to remove the resource, delete it once the file has none",
  };
}

function isSameRef(a: ResourceRef, b: ResourceRef): boolean {
  return refKey(a) === refKey(b);
}
