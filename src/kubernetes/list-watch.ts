import { setTimeout as pause } from "node:timers/promises";
import { errorText, SystemError } from "../system-error.ts";
import { type Backoff, createBackoff } from "./backoff.ts";
import {
  type Collection,
  type CollectionOptions,
  type CollectionState,
  defaultPatience,
  type Patience,
} from "./collection.ts";
import { KubernetesError, readErrorEvent } from "./kubernetes-error.ts";
import { type KubernetesObject, keyOf, type ListPage, type WatchEvent } from "./objects.ts";

const pageSize = 500;
const maxObjects = 200_000;
/** What ends sooner than this would, begun anew at once, only keep the server busy. */
const shortMs = 1000;

/**
 * Follows a collection: lists it, watches from there, and goes on after every failure until the signal aborts. What was
 * read stays while the server is away. Nothing is lost: a watch resumes at the last version seen, and where the server
 * has forgotten that, the list is read again.
 */
export function followCollection<T>(options: CollectionOptions<T>): Collection<T> {
  const collection = new FollowedCollection(options);
  void collection.run();
  return collection;
}

interface Kept<T> {
  readonly uid: string | undefined;
  readonly version: string | undefined;
  readonly value: T;
}

class FollowedCollection<T> implements Collection<T> {
  revision = 0;
  state: CollectionState;
  readonly #options: CollectionOptions<T>;
  readonly #patience: Patience;
  readonly #backoff: Backoff;
  readonly #kept = new Map<string, Kept<T>>();
  /** Where the next watch begins; undefined where a list is needed first. */
  #version: string | undefined;
  #listedAt = 0;
  #watching = new AbortController();
  #watchingSince = 0;
  #absentSince: number | undefined;

  constructor(options: CollectionOptions<T>) {
    this.#options = options;
    this.#patience = { ...defaultPatience, ...options.patience };
    const { retryMs: firstMs, longestRetryMs: longestMs } = this.#patience;
    this.#backoff = createBackoff({ firstMs, longestMs });
    this.state = {
      ...{ path: options.path, synced: false, watching: false, lastContact: undefined, absent: false },
      ...{
        failure: undefined,
        refused: false,
        lists: 0,
        relists: 0,
        watchRestarts: 0,
        stalls: 0,
        failures: 0,
      },
    };
  }

  values(): T[] {
    const values: T[] = [];
    for (const { value } of this.#kept.values()) values.push(value);
    return values;
  }

  get size(): number {
    return this.#kept.size;
  }

  resume(): void {
    if (performance.now() - this.#watchingSince >= shortMs) this.#watching.abort();
  }

  async run(): Promise<void> {
    const { signal } = this.#options;
    let watches = 0;
    while (!signal.aborted) {
      try {
        if (this.#version === undefined) await this.#list();
        if (watches++ > 0) this.#say({ watchRestarts: this.state.watchRestarts + 1 });
        await this.#watch();
      } catch (error) {
        if (signal.aborted) return;
        this.#say({ watching: false });
        await pause(this.#accept(error), undefined, { signal }).catch(() => {});
      }
    }
  }

  /** Takes a failure down, and says how long to wait, in milliseconds. */
  #accept(error: unknown): number {
    if (isForgotten(error)) {
      this.#version = undefined;
      this.#say({ relists: this.state.relists + 1 });
      return performance.now() - this.#listedAt > shortMs ? 0 : this.#backoff.next();
    }
    if (isUnknownResource(error)) this.#noteAbsent();
    const answer = error instanceof KubernetesError ? error : undefined;
    const refused = answer?.status === 403;
    this.#say({ failure: errorText(error), refused, failures: this.state.failures + 1 });
    return this.#backoff.next(refused ? this.#options.refusedPauseMs?.() : answer?.retryAfterMs);
  }

  /** An empty collection is believed at once, and one that had something after a while: that can be a server's mistake. */
  #noteAbsent(): void {
    this.#version = undefined;
    this.#absentSince ??= performance.now();
    if (this.#kept.size > 0 && performance.now() - this.#absentSince < this.#patience.goneMs) return;
    this.#replace(new Map());
    this.#say({ absent: true, synced: true });
  }

  async #list(): Promise<void> {
    const next = new Map<string, Kept<T>>();
    const onItem = (item: unknown) => {
      const object = item as KubernetesObject;
      next.set(keyOf(object), this.#keep(object));
      if (next.size > maxObjects)
        throw new SystemError("too-large", `${this.#options.path} has more than ${maxObjects} objects`);
    };
    let page: ListPage = {};
    do {
      page = await this.#readPage(page.metadata?.continue, onItem);
    } while (page.metadata?.continue);
    this.#version = page.metadata?.resourceVersion ?? "";
    this.#listedAt = performance.now();
    this.#absentSince = undefined;
    this.#replace(next);
    this.#say({
      ...{ synced: true, absent: false, failure: undefined, refused: false },
      lists: this.state.lists + 1,
    });
  }

  async #readPage(token: string | undefined, onItem: (item: unknown) => void): Promise<ListPage> {
    const { client, path, signal } = this.#options;
    // From the server's memory at first, as client-go does: four times as fast as from etcd, and a server that lags says
    // the rest by the watch. Later that could bring back what is gone, so then it is what is true now.
    const query = {
      ...this.#selectors(),
      limit: String(pageSize),
      ...(token && { continue: token }),
      ...(!token && this.state.lists === 0 && { resourceVersion: "0" }),
    };
    const page = await client.request("GET", path, {
      query,
      signal,
      onItem,
      timeoutMs: this.#patience.listMs,
    });
    this.#noteContact();
    return page as ListPage;
  }

  async #watch(): Promise<void> {
    const began = performance.now();
    try {
      await this.#readEvents();
    } finally {
      if (performance.now() - began >= shortMs) this.#backoff.reset();
    }
    if (performance.now() - began < shortMs)
      await pause(this.#backoff.next(), undefined, { signal: this.#options.signal });
  }

  /** Takes what a watch says, until it ends or has been silent for so long that it must have stalled. */
  async #readEvents(): Promise<void> {
    const { client, path } = this.#options;
    const { watchMs, overdueMs } = this.#patience;
    this.#watching = new AbortController();
    this.#watchingSince = performance.now();
    const signal = AbortSignal.any([this.#options.signal, this.#watching.signal]);
    // Spread, so that not all watches of all replicas end together.
    const seconds = Math.ceil((watchMs * (0.5 + Math.random() / 2)) / 1000);
    let opened = false;
    const onOpen = () => {
      opened = true;
      this.#noteContact();
      this.#say({ watching: true, failure: undefined, refused: false });
    };
    const query = {
      ...this.#selectors(),
      resourceVersion: this.#version ?? "",
      allowWatchBookmarks: "true",
      timeoutSeconds: String(seconds),
    };
    const idleMs = seconds * 1000 + overdueMs;
    try {
      for await (const event of client.watch(path, query, { signal, idleMs, onOpen })) {
        this.#noteContact();
        this.#backoff.reset();
        this.#apply(event as WatchEvent);
      }
    } catch (error) {
      if (!opened || !isTimeout(error)) throw error;
      this.#say({ stalls: this.state.stalls + 1 });
      this.#options.onStall?.();
    }
  }

  #apply({ type, object }: WatchEvent): void {
    if (type === "ERROR") throw readErrorEvent(this.#options.path, object);
    if (type === "DELETED") this.#remove(keyOf(object));
    else if (type === "ADDED" || type === "MODIFIED") this.#put(object);
    this.#version = object.metadata.resourceVersion ?? this.#version;
  }

  #put(object: KubernetesObject): void {
    const key = keyOf(object);
    const kept = this.#keep(object);
    const before = this.#kept.get(key);
    this.#kept.set(key, kept);
    if (!before || before.value !== kept.value) this.#noteChange();
  }

  #remove(key: string): void {
    if (this.#kept.delete(key)) this.#noteChange();
  }

  /** What is kept of an object: what is kept of it already, if it is the same version of the same object. */
  #keep(object: KubernetesObject): Kept<T> {
    const { uid, resourceVersion: version } = object.metadata;
    const known = this.#kept.get(keyOf(object));
    const same = known?.uid === uid ? known : undefined;
    if (same && version !== undefined && same.version === version) return same;
    return { uid, version, value: this.#options.keep(object, same?.value) };
  }

  /** Puts a whole list in the place of what is there. */
  #replace(next: ReadonlyMap<string, Kept<T>>): void {
    let changed = false;
    for (const key of this.#kept.keys()) if (!next.has(key)) changed = this.#kept.delete(key);
    for (const [key, kept] of next) {
      const before = this.#kept.get(key);
      changed ||= !before || before.value !== kept.value;
      this.#kept.set(key, kept);
    }
    if (changed) this.#noteChange();
  }

  #noteChange(): void {
    this.revision++;
    this.#options.onChange();
  }

  #selectors(): Record<string, string> {
    const { labelSelector, fieldSelector } = this.#options;
    return { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) };
  }

  #noteContact(): void {
    this.state = { ...this.state, lastContact: Date.now() };
  }

  #say(news: Partial<CollectionState>): void {
    const before = this.state;
    this.state = { ...before, ...news };
    const told = ["synced", "watching", "absent", "failure"] as const;
    if (told.some((field) => this.state[field] !== before[field])) this.#options.onChange();
  }
}

/** The server does not know the version any more (410), or not yet: its store is an older one than before. */
function isForgotten(error: unknown): boolean {
  if (!(error instanceof KubernetesError)) return false;
  return error.status === 410 || error.causes.some(({ reason }) => reason === "ResourceVersionTooLarge");
}

function isTimeout(error: unknown): boolean {
  return error instanceof SystemError && error.code === "timeout";
}

/** A 404 for a whole collection: the API server has no such resource. */
function isUnknownResource(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 404;
}
