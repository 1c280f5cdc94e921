import { acceptText, acceptUnreadable, type KnownFile, unknownFile } from "./last-good.ts";
import { type FileContent, type FileStamp, isSameStamp, readTextFile, stampFile } from "./read-file.ts";
import type { SourceFile } from "./source-state.ts";

/** How long content that looks half-written is not believed, in milliseconds since it last changed, and altogether. */
const grace = 100;
const longestGrace = 1000;
const pageSize = 4096;

interface Entry {
  /** As messages name the file. */
  readonly name: string;
  known: KnownFile;
  stamp?: FileStamp;
  doubt?: Doubt;
}

/** Content that was seen and is not yet believed. */
interface Doubt {
  readonly since: number;
  readonly stamp: FileStamp | undefined;
  readonly seen: number;
}

/** The files of a source and what they say. Reading is synchronous; who calls decides when. */
export class FileTable {
  readonly #entries = new Map<string, Entry>();
  readonly #defaultNamespace: string;
  #sorted: readonly Entry[] | undefined;

  constructor(defaultNamespace: string) {
    this.#defaultNamespace = defaultNamespace;
  }

  /** What the files say, in the order of their names. */
  files(): SourceFile[] {
    this.#sorted ??= [...this.#entries.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
    return this.#sorted.map(({ known, doubt }) =>
      doubt && !doubt.stamp ? { resources: known.resources, diagnostics: [], leaving: true } : known,
    );
  }

  /** The paths of known files that are `path` or below it. */
  pathsBelow(path: string): string[] {
    return [...this.#entries.keys()].filter((file) => file === path || file.startsWith(`${path}/`));
  }

  has(path: string): boolean {
    return this.#entries.has(path);
  }

  /** True if the file at `path` is not as it was when it was last read. */
  isChanged(path: string): boolean {
    const entry = this.#entries.get(path);
    return !entry || entry.doubt !== undefined || !isSameStamp(entry.stamp, stampFile(path));
  }

  /**
   * Reads a file; `name` is for messages. Returns 0, or, where the content looks half-written, the milliseconds after
   * which to read it again; until then the file counts as it was.
   */
  read(path: string, name: string): number {
    const entry = this.#entries.get(path);
    const content = readTextFile(path);
    const next = this.#accept(entry?.known ?? unknownFile, content, name);
    const stamp = content === "missing" ? undefined : content.stamp;
    if (entry && entry.known.resources.length > 0 && isDoubtful(content, next, entry.known)) {
      entry.doubt = renewDoubt(entry.doubt, stamp);
      const rest = remainingGrace(entry.doubt);
      if (rest > 0) return rest;
    }
    if (next) this.#set(path, { name, known: next, stamp });
    else this.#remove(path);
    return 0;
  }

  #accept(before: KnownFile, content: FileContent, name: string): KnownFile | undefined {
    if (content === "missing") return undefined;
    if ("unreadable" in content) return acceptUnreadable(before, name, content.unreadable);
    return acceptText(before, content.text, name, { defaultNamespace: this.#defaultNamespace });
  }

  #set(path: string, entry: Entry): void {
    const before = this.#entries.get(path);
    if (before) Object.assign(before, { doubt: undefined, ...entry });
    else {
      this.#entries.set(path, entry);
      this.#sorted = undefined;
    }
  }

  #remove(path: string): void {
    if (this.#entries.delete(path)) this.#sorted = undefined;
  }
}

/** True for what a writer leaves behind between truncating a file, or moving it away, and having written it again. */
function isDoubtful(content: FileContent, next: KnownFile | undefined, before: KnownFile): boolean {
  if (content === "missing") return true;
  if ("unreadable" in content || next?.parsed === before.parsed) return false;
  const { stable, bytes, text } = content;
  return (
    !stable || bytes % pageSize === 0 || !text.endsWith("\n") || text.trim() === "" || next!.parsed.broken > 0
  );
}

function renewDoubt(before: Doubt | undefined, stamp: FileStamp | undefined): Doubt {
  const now = performance.now();
  if (!before) return { since: now, seen: now, stamp };
  return isSameStamp(before.stamp, stamp) ? before : { since: before.since, seen: now, stamp };
}

function remainingGrace({ since, seen }: Doubt): number {
  const now = performance.now();
  return Math.max(0, Math.ceil(Math.min(seen + grace, since + longestGrace) - now));
}
