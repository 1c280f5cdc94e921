import { getOrCreate } from "../get-or-create.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { moveDocument, type ParsedDocument, parseDocument } from "./parse-document.ts";
import { type DocumentText, splitDocuments } from "./split-documents.ts";
import type { Resource } from "./types.ts";

/** What a file says. `broken` counts its documents that have errors. */
export interface ParsedFile {
  readonly resources: readonly Resource[];
  readonly diagnostics: readonly Diagnostic[];
  readonly broken: number;
  readonly documents: readonly ParsedDocument[];
}

export interface ParseOptions {
  /** The namespace of resources that name none. */
  readonly defaultNamespace?: string;
  /** The same file as it was read before: documents with the same text are not read again and keep their identity. */
  readonly previous?: ParsedFile;
}

/** The namespace that Higress runs in. */
export const systemNamespace = "higress-system";

/** Reads the resources in a file of YAML or JSON: any number of documents, Lists taken apart. Never throws. */
export function parseDocuments(text: string, file: string, options: ParseOptions = {}): ParsedFile {
  const { defaultNamespace = systemNamespace, previous } = options;
  const find = createLookup(previous);
  const documents = splitDocuments(text.startsWith("\uFEFF") ? text.slice(1) : text).map(
    (document, index) => {
      const known = find(document.text, index);
      if (known) return moveDocument(known, document.line);
      return parseDocument(copyString(document, text), file, defaultNamespace);
    },
  );
  if (previous && isSame(documents, previous.documents)) return previous;
  return {
    documents,
    resources: documents.flatMap(({ resources }) => resources),
    diagnostics: documents.flatMap(({ diagnostics }) => diagnostics),
    broken: documents.filter(({ broken }) => broken).length,
  };
}

function isSame<T>(a: readonly T[], b: readonly T[]): boolean {
  return a.length === b.length && a.every((element, index) => element === b[index]);
}

/** Finds the document that had a text before: at the same index, or else anywhere. */
function createLookup(previous: ParsedFile | undefined) {
  // By length and not by text: to hash all texts would take longer than to compare the few that may be equal.
  let byLength: Map<number, ParsedDocument[]> | undefined;
  return (text: string, index: number): ParsedDocument | undefined => {
    const same = previous?.documents[index];
    if (!previous || same?.text === text) return same;
    byLength ??= groupByLength(previous.documents);
    return byLength.get(text.length)?.find((document) => document.text === text);
  };
}

function groupByLength(documents: readonly ParsedDocument[]): Map<number, ParsedDocument[]> {
  const byLength = new Map<number, ParsedDocument[]>();
  for (const document of documents) getOrCreate(byLength, document.text.length, () => []).push(document);
  return byLength;
}

// A slice keeps the whole string alive that it was cut from, here all versions of a file that any document came from.
function copyString(document: DocumentText, file: string): DocumentText {
  if (document.text.length === file.length) return document;
  return { ...document, text: Buffer.from(document.text).toString() };
}
