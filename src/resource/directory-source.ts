import { setImmediate as nextTurn } from "node:timers/promises";
import { type Log, silentLog } from "../log.ts";
import { errorText } from "../system-error.ts";
import { coalesce, createWatchable, type Watchable } from "../watchable.ts";
import { createDirectoryWatches, type DirectoryWatches } from "./directory-watches.ts";
import { FileTable } from "./file-table.ts";
import { systemNamespace } from "./parse.ts";
import { combineFiles, type SourceState } from "./source-state.ts";
import { SourceTree } from "./source-tree.ts";

export interface WatchOptions {
  /** The namespace of resources that name none. */
  readonly defaultNamespace?: string;
  /** Ends the watching. */
  readonly signal: AbortSignal;
  /** Is told of the first state and of each new one. */
  readonly onChange?: (state: SourceState) => void;
  readonly log?: Log;
}

const rescanEveryMs = 5000;
/** How long reading may keep other work of this thread waiting, in milliseconds. */
const sliceMs = 8;

/**
 * Watches files and directories of resources. The value is always the whole state; it is there when the promise resolves,
 * and what did not change keeps its identity. Paths that do not exist are waited for.
 */
export async function watchDirectory(
  paths: readonly string[],
  { defaultNamespace = systemNamespace, signal, onChange, log = silentLog }: WatchOptions,
): Promise<Watchable<SourceState>> {
  signal.throwIfAborted();
  const state = createWatchable<SourceState>();
  const source = new DirectorySource(paths, defaultNamespace, state, signal, log);
  await source.start();
  signal.throwIfAborted();
  if (onChange) state.watch(onChange, signal);
  return state;
}

class DirectorySource {
  readonly #tree: SourceTree;
  readonly #files: FileTable;
  readonly #watches: DirectoryWatches;
  readonly #state: Watchable<SourceState>;
  readonly #signal: AbortSignal;
  readonly #log: Log;
  /** Paths that something happened to; true: files are read even if they look as before. */
  #dirty = new Map<string, boolean>();
  #problems = 0;
  readonly #graces = new Map<string, NodeJS.Timeout>();
  readonly #trigger = coalesce(() => this.#runAgain());

  constructor(
    paths: readonly string[],
    defaultNamespace: string,
    state: Watchable<SourceState>,
    signal: AbortSignal,
    log: Log,
  ) {
    this.#tree = new SourceTree(paths);
    this.#files = new FileTable(defaultNamespace);
    this.#watches = createDirectoryWatches((directory, name) => this.#note(directory, name), signal, log);
    this.#state = state;
    this.#signal = signal;
    this.#log = log;
  }

  /** Reads everything, and from then on what changes. */
  async start(): Promise<void> {
    this.#rescan();
    await this.#run();
    const timer = setInterval(() => {
      this.#rescan();
      this.#trigger();
    }, rescanEveryMs).unref();
    this.#signal.addEventListener("abort", () => {
      clearInterval(timer);
      for (const grace of this.#graces.values()) clearTimeout(grace);
    });
  }

  #rescan(): void {
    for (const root of this.#tree.roots) this.#mark(root, false);
  }

  #mark(path: string, reread: boolean): void {
    this.#dirty.set(path, reread || this.#dirty.get(path) === true);
  }

  /** Takes an event down. What it means is found out later, once for all events that came together. */
  #note(directory: string, name: string | undefined): void {
    const paths = this.#tree.affectedPaths(directory, name);
    for (const path of paths) this.#mark(path, name !== undefined && !name.startsWith("."));
    if (paths.length > 0) this.#trigger();
  }

  async #run(): Promise<void> {
    const dirty = this.#dirty;
    this.#dirty = new Map();
    const reads = [...dirty].flatMap(([path, reread]) => this.#examine(path, reread));
    if (await this.#readAll(new Set(reads))) this.#publish(reads.length > 0);
  }

  async #runAgain(): Promise<void> {
    if (this.#signal.aborted) return;
    try {
      await this.#run();
    } catch (error) {
      this.#log.error(
        { error: errorText(error) },
        "cannot look at the files of resources; trying again in 5 s",
      );
    }
  }

  /** Finds the files to read because something happened to a path, and watches the directories on the way. */
  #examine(path: string, reread: boolean): string[] {
    this.#watchAncestor(path);
    const { files, directories } = this.#tree.scan(path, (directory) => this.#watches.add(directory));
    if (directories.length === 0) this.#watches.removeBelow(path);
    const gone = this.#files.pathsBelow(path).filter((file) => !files.has(file));
    const changed = [...files].filter((file) => (reread && file === path) || this.#files.isChanged(file));
    return [...gone, ...changed];
  }

  /** Watches the directory in which a named path may appear. It may be another one once the watch has begun. */
  #watchAncestor(path: string): void {
    let watched: string | undefined;
    let nearest = this.#tree.ancestorOf(path);
    for (let attempt = 0; nearest !== watched && attempt < 32; attempt++) {
      watched = nearest;
      if (watched !== undefined) this.#watches.add(watched);
      nearest = this.#tree.ancestorOf(path);
    }
  }

  /** Reads files, in slices between which other work gets its turn. Returns false if the signal ended it. */
  async #readAll(paths: Iterable<string>): Promise<boolean> {
    let sliceEnd = performance.now() + sliceMs;
    for (const path of paths) {
      const wait = this.#files.read(path, this.#tree.nameOf(path));
      if (wait > 0) this.#readAgain(path, wait);
      if (performance.now() < sliceEnd) continue;
      await nextTurn();
      sliceEnd = performance.now() + sliceMs;
      if (this.#signal.aborted) return false;
    }
    return !this.#signal.aborted;
  }

  #readAgain(path: string, wait: number): void {
    clearTimeout(this.#graces.get(path));
    const timer = setTimeout(() => {
      this.#graces.delete(path);
      this.#mark(path, true);
      this.#trigger();
    }, wait);
    this.#graces.set(path, timer);
  }

  #publish(filesRead: boolean): void {
    const problems = this.#tree.problems();
    const before = this.#state.value;
    // Most events that change nothing are those of an editor's temporary files.
    if (before && !filesRead && problems.length === 0 && this.#problems === 0) return;
    this.#problems = problems.length;
    this.#state.set(combineFiles([{ resources: [], diagnostics: problems }, ...this.#files.files()], before));
  }
}
