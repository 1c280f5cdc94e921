/** The text of one YAML document and the line of its file, from 1, at which the text starts. */
export interface DocumentText {
  readonly text: string;
  readonly line: number;
}

/**
 * Cuts a file at its document markers, so that what is wrong in one document stays there. A marker with content on its
 * line, and directives with the marker that ends them, stay part of the text. Empty documents are left out.
 */
export function splitDocuments(file: string): DocumentText[] {
  const documents: DocumentText[] = [];
  let start = 0;
  let line = 1;
  const cut = (end: number, next: number) => {
    const text = file.slice(start, end);
    if (!isEmptyDocument(text)) documents.push({ text, line });
    line += countLines(file, start, next);
    start = next;
  };
  for (const at of findMarkers(file)) {
    const lineEnd = file.indexOf("\n", at);
    const next = lineEnd < 0 ? file.length : lineEnd + 1;
    if (file[at] === "-" && hasDirective(file.slice(start, at))) continue;
    cut(at, isEmptyDocument(file.slice(at + 3, next)) ? next : at);
  }
  cut(file.length, file.length);
  return documents;
}

/** The offsets of the markers, in order: `---` or `...` alone at the beginning of a line. */
function findMarkers(file: string): number[] {
  const dots = findAtLineStart(file, "...");
  const markers = findAtLineStart(file, "---");
  return dots.length === 0 ? markers : [...markers, ...dots].sort((a, b) => a - b);
}

function findAtLineStart(file: string, word: string): number[] {
  const found: number[] = [];
  for (let at = file.startsWith(word) ? 0 : nextLineStart(file, word, 0); at >= 0; ) {
    if (at + 3 === file.length || " \t\r\n".includes(file.charAt(at + 3))) found.push(at);
    at = nextLineStart(file, word, at + 3);
  }
  return found;
}

function nextLineStart(file: string, word: string, from: number): number {
  const at = file.indexOf(`\n${word}`, from);
  return at < 0 ? at : at + 1;
}

/** Only comments and blank lines. */
function isEmptyDocument(text: string): boolean {
  return !/^[ \t]*[^#\s]/m.test(text);
}

/** Only directives, comments and blank lines, and one directive at least. */
function hasDirective(text: string): boolean {
  return text.length < 4096 && /^%/m.test(text) && !/^[ \t]*[^%#\s]/m.test(text);
}

function countLines(text: string, from: number, to: number): number {
  let lines = 0;
  for (let at = text.indexOf("\n", from); at >= 0 && at < to; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}
