import { decodeResource } from "./decode.ts";
import { isObject, type Problem } from "./decoder.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { locate } from "./locate.ts";
import type { DocumentText } from "./split-documents.ts";
import type { JsonObject, Origin, Resource, ResourceRef } from "./types.ts";
import { loadYaml, maxDepth } from "./yaml.ts";

/** One YAML document and what was read from it. */
export interface ParsedDocument extends DocumentText {
  readonly resources: readonly Resource[];
  readonly diagnostics: readonly Diagnostic[];
  readonly broken: boolean;
}

/** Reads the resources of one document, which may be a List. Never throws. */
export function parseDocument(
  document: DocumentText,
  file: string,
  defaultNamespace: string,
): ParsedDocument {
  const { text, line } = document;
  const origin: Origin = { file, line, text };
  const loaded = loadYaml(text);
  if ("problem" in loaded) {
    const { reason, line: row, column } = loaded.problem;
    return brokenDocument(document, reason, { file, line: line + row - 1, column });
  }
  // Each value takes a character at least, so that only aliases can reach the limit.
  const limit = text.length + maxAliasedValues;
  if (countValues(loaded.value, limit, 0) > limit)
    return brokenDocument(document, "its aliases expand to too many or too deep values", {
      file,
      line,
      column: 1,
    });
  const resources: Resource[] = [];
  const diagnostics: Diagnostic[] = [];
  for (const item of listItems(loaded.value, origin)) {
    const { resource, ref, problems } = decodeResource(item.value, { defaultNamespace, origin: item.origin });
    if (resource) resources.push(resource);
    for (const problem of problems) diagnostics.push(toDiagnostic(problem, item.origin, ref));
  }
  const broken = diagnostics.some(({ severity }) => severity === "error");
  return { text, line, resources, diagnostics, broken };
}

function brokenDocument({ text, line }: DocumentText, message: string, at: Diagnostic["at"]): ParsedDocument {
  const diagnostics: Diagnostic[] = [{ severity: "error", code: "YAML_SYNTAX", message, at }];
  return { text, line, resources: [], diagnostics, broken: true };
}

const maxAliasedValues = 400_000;

/** Counts the values below and including this one, aliases expanded. Stops above the limit; too deep is above it. */
function countValues(value: unknown, limit: number, depth: number): number {
  if (typeof value !== "object" || value === null) return 1;
  if (depth > maxDepth) return limit + 1;
  let count = 1;
  for (const key in value) {
    count += countValues((value as Record<string, unknown>)[key], limit - count, depth + 1);
    if (count > limit) break;
  }
  return count;
}

interface Item {
  readonly value: unknown;
  readonly origin: Origin;
}

/** The resources in a document: itself, or the items of a `List` or of a typed one such as `IngressList`. */
function listItems(value: unknown, origin: Origin): Item[] {
  if (!isObject(value) || !Array.isArray(value.items) || !/List$/.test(String(value.kind)))
    return [{ value, origin }];
  return value.items.flatMap((item, index) => {
    const path = [...(origin.path ?? []), "items", index];
    return listItems(withListType(item, value), { ...origin, path });
  });
}

/** The items of a typed list may leave out what the list says. */
function withListType(item: unknown, list: JsonObject): unknown {
  const kind = String(list.kind).replace(/List$/, "");
  if (kind === "" || !isObject(item) || item.kind !== undefined) return item;
  return { apiVersion: list.apiVersion, kind, ...item };
}

function toDiagnostic(problem: Problem, origin: Origin, ref: ResourceRef | undefined): Diagnostic {
  const { path, place, ...rest } = problem;
  return { ...rest, at: { ref, path, file: origin.file, ...locate(origin, path, place) } };
}

/** The same document at another line of its file. Its resources stay the same objects: where they stand is no change. */
export function moveDocument(document: ParsedDocument, line: number): ParsedDocument {
  if (document.line === line) return document;
  const shift = line - document.line;
  for (const { origin } of document.resources) if (origin) origin.line = line;
  return {
    ...document,
    line,
    diagnostics: document.diagnostics.map((diagnostic) => ({
      ...diagnostic,
      at: { ...diagnostic.at, line: (diagnostic.at.line ?? 1) + shift },
    })),
  };
}
