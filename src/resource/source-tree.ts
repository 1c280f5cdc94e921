import { type Dirent, lstatSync, readdirSync } from "node:fs";
import { dirname, extname, join, relative, resolve } from "node:path";
import type { Diagnostic } from "./diagnostic.ts";
import { isMissing, reasonOf, statPath } from "./read-file.ts";

const extensions = new Set([".yaml", ".yml", ".json"]);
const deepestDirectory = 32;

/** What a scan of a path found, as absolute paths. */
export interface Scan {
  readonly files: Set<string>;
  readonly directories: string[];
}

/**
 * Which files belong to the paths that a user named: a file whatever its name, a directory with all below it that is called
 * *.yaml, *.yml or *.json and does not begin with a dot. Paths are absolute here; `nameOf` gives them as the user wrote them.
 */
export class SourceTree {
  /** The named paths. */
  readonly roots: readonly string[];
  readonly #given: ReadonlyMap<string, string>;
  /** The symbolic links in each directory, which may change without an event of their own. */
  readonly #links = new Map<string, Set<string>>();
  readonly #problems = new Map<string, Diagnostic>();

  constructor(paths: readonly string[]) {
    this.#given = new Map(paths.map((path) => [resolve(path), path]));
    this.roots = [...this.#given.keys()];
  }

  /** A path as messages name it. */
  nameOf(path: string): string {
    const root = this.#rootOf(path);
    return root === undefined ? path : join(this.#given.get(root)!, relative(root, path));
  }

  /** What there is to say about named paths and directories themselves. */
  problems(): Diagnostic[] {
    return [...this.#problems.values()];
  }

  /** What to look at after an event for `name` in a watched directory, or for itself: nothing if it is none of ours. */
  affectedPaths(directory: string, name = ""): string[] {
    const path = join(directory, name);
    const above = this.roots.filter((root) => isBelow(root, path));
    if (above.length > 0) return above;
    // Kubernetes changes a mounted ConfigMap by swapping the link `..data` that the files' links lead through.
    if (name.startsWith(".")) return [...(this.#links.get(directory) ?? [])];
    return this.#rootOf(path) === undefined ? [] : [path];
  }

  /** For a named path: the nearest directory above it, in which it would appear or be replaced. */
  ancestorOf(path: string): string | undefined {
    if (!this.#given.has(path)) return undefined;
    let directory = dirname(path);
    while (directory !== dirname(directory) && !statPath(directory)?.isDirectory())
      directory = dirname(directory);
    return directory;
  }

  /** Lists what is at a path and below it. `enter` is called for each directory before it is read. */
  scan(path: string, enter: (directory: string) => void): Scan {
    const scan: Scan = { files: new Set(), directories: [] };
    for (const problem of [...this.#problems.keys()])
      if (isBelow(problem, path)) this.#problems.delete(problem);
    this.#noteLink(path);
    this.#scanPath(path, scan, enter, new Set(), 0);
    return scan;
  }

  #scanPath(path: string, scan: Scan, enter: (path: string) => void, seen: Set<string>, depth: number): void {
    const stats = statPath(path);
    if (!stats?.isDirectory()) {
      if (!stats) this.#noteMissing(path);
      else if (this.#given.has(path) || extensions.has(extname(path))) scan.files.add(path);
      return;
    }
    const identity = `${stats.dev}:${stats.ino}`;
    if (seen.has(identity) || depth > deepestDirectory) return;
    seen.add(identity);
    enter(path);
    scan.directories.push(path);
    const links = new Set<string>();
    for (const entry of this.#list(path)) {
      const child = join(path, entry.name);
      if (entry.name.startsWith(".")) continue;
      if (entry.isSymbolicLink()) links.add(child);
      if (entry.isDirectory() || entry.isSymbolicLink()) this.#scanPath(child, scan, enter, seen, depth + 1);
      else if (extensions.has(extname(entry.name))) scan.files.add(child);
    }
    this.#links.set(path, links);
  }

  #list(directory: string): Dirent[] {
    try {
      return readdirSync(directory, { withFileTypes: true });
    } catch (error) {
      if (!isMissing(error)) this.#report(directory, "error", `cannot be read: ${reasonOf(error)}`);
      return [];
    }
  }

  #noteLink(path: string): void {
    if (!isSymbolicLink(path)) return;
    const directory = dirname(path);
    const links = this.#links.get(directory) ?? new Set();
    this.#links.set(directory, links.add(path));
  }

  #noteMissing(path: string): void {
    this.#links.delete(path);
    if (this.#given.has(path)) this.#report(path, "warning", "there is nothing at this path yet");
  }

  #report(path: string, severity: Diagnostic["severity"], message: string): void {
    this.#problems.set(path, { severity, code: "FILE_UNREADABLE", message, at: { file: this.nameOf(path) } });
  }

  #rootOf(path: string): string | undefined {
    return this.roots.find((root) => isBelow(path, root));
  }
}

function isBelow(path: string, ancestor: string): boolean {
  return path === ancestor || path.startsWith(ancestor === "/" ? ancestor : `${ancestor}/`);
}

function isSymbolicLink(path: string): boolean {
  try {
    return lstatSync(path).isSymbolicLink();
  } catch {
    return false;
  }
}
