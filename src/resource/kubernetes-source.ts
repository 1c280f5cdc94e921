import { setMaxListeners } from "node:events";
import { sameItems, whenChanged } from "../incremental.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { Collection, Patience } from "../kubernetes/collection.ts";
import { followCollection } from "../kubernetes/list-watch.ts";
import { type Log, silentLog } from "../log.ts";
import { coalesce, createWatchable, type Watchable } from "../watchable.ts";
import { statusOf } from "./collection-status.ts";
import type { Diagnostic } from "./diagnostic.ts";
import { collectionPath, type Followed, followedKinds, secretKind } from "./kubernetes-kinds.ts";
import { systemNamespace as defaultSystemNamespace } from "./parse.ts";
import { readObject } from "./read-object.ts";
import { type ObjectName, ReferencedSecrets } from "./referenced-secrets.ts";
import { createOutageLog } from "./source-outages.ts";
import { combineFiles, type SourceFile, type SourceState } from "./source-state.ts";
import type { CollectionStatus, SourceStatus } from "./source-status.ts";
import type { Resource } from "./types.ts";

export interface KubernetesSourceOptions {
  readonly client: KubernetesClient;
  /** The Secrets that conversion looks for because of a resource. No other Secret is read. */
  readonly secretsOf: (resource: Resource) => readonly ObjectName[];
  /** The namespace whose WasmPlugins take effect. */
  readonly systemNamespace?: string;
  /** The only namespace whose Ingresses, Services and EndpointSlices count; all where it is not said. */
  readonly watchNamespace?: string;
  readonly signal: AbortSignal;
  readonly log?: Log;
  readonly patience?: Partial<Patience>;
}

/** A source, and how it is doing. */
export interface KubernetesSource extends Watchable<SourceState> {
  status(): SourceStatus;
}

/** How long a change waits for the Secrets that it begins to refer to, in milliseconds. */
const secretGraceMs = 2000;

/**
 * Watches a cluster's resources. The value is always the whole state, and what did not change keeps its identity; it is
 * there once everything was read, which the promise does not wait for: `status()` says how far it is. While the API
 * server is away the last state stays.
 */
export async function watchKubernetes(options: KubernetesSourceOptions): Promise<KubernetesSource> {
  options.signal.throwIfAborted();
  // One for each request that is on its way.
  setMaxListeners(0, options.signal);
  return new ClusterSource(options);
}

interface FollowedCollection {
  readonly followed: Followed;
  readonly collection: Collection<SourceFile>;
  /** All its objects as one, made anew only when one has changed. */
  readonly asFile: () => SourceFile;
}

class ClusterSource implements KubernetesSource {
  readonly #options: KubernetesSourceOptions;
  readonly #collections: readonly FollowedCollection[];
  readonly #secrets: ReferencedSecrets;
  readonly #state = createWatchable<SourceState>();
  readonly #noteOutages: (statuses: readonly CollectionStatus[]) => void;
  readonly #trigger: () => void;
  /** What the Secrets that are followed were found in, and what the state was made of. */
  #followed: readonly SourceFile[] = [];
  #combined: readonly SourceFile[] = [];
  #waitingSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: KubernetesSourceOptions) {
    const { client, secretsOf, watchNamespace, signal, log = silentLog, patience } = options;
    const { systemNamespace = defaultSystemNamespace } = options;
    this.#options = options;
    this.#noteOutages = createOutageLog(client.server, log);
    const publish = coalesce(() => this.#publish());
    this.#trigger = () => !signal.aborted && publish();
    const onChange = this.#trigger;
    this.#secrets = new ReferencedSecrets({ client, secretsOf, onChange, patience });
    this.#collections = followedKinds(systemNamespace, watchNamespace).map((followed) => {
      const collection = followCollection<SourceFile>({
        client,
        path: collectionPath(followed),
        keep: (object, before) => readObject(object, followed.kind, before),
        onChange,
        signal,
        patience,
      });
      return { followed, collection, asFile: joinValues(collection) };
    });
    signal.addEventListener("abort", () => {
      this.#secrets.end();
      clearTimeout(this.#timer);
    });
  }

  get value(): SourceState | undefined {
    return this.#state.value;
  }

  set(state: SourceState): void {
    this.#state.set(state);
  }

  watch(listener: (state: SourceState) => void, signal?: AbortSignal): void {
    this.#state.watch(listener, signal);
  }

  status(): SourceStatus {
    const collections = this.#statuses();
    const contacts = [...this.#collections.map(({ collection }) => collection), ...this.#secrets.collections]
      .map(({ state }) => state.lastContact ?? 0)
      .reduce((a, b) => Math.max(a, b), 0);
    return {
      kind: "kubernetes",
      server: this.#options.client.server,
      synced: this.value !== undefined,
      watching: collections.every(({ watching }) => watching),
      lastContact: contacts > 0 ? new Date(contacts).toISOString() : undefined,
      collections,
    };
  }

  #publish(): void {
    this.#noteOutages(this.#statuses());
    if (!this.#collections.every(({ collection }) => collection.state.synced)) return;
    const files = this.#collections.map(({ asFile }) => asFile());
    if (!sameItems(files, this.#followed)) this.#secrets.follow(files);
    this.#followed = files;
    if (!this.#secrets.settled && this.#mayWait()) return;
    this.#waitingSince = undefined;
    clearTimeout(this.#timer);
    this.#secrets.forgetOthers();
    const all = [...files, ...this.#secrets.values()];
    if (this.value && sameItems(all, this.#combined)) return;
    this.#combined = all;
    this.#state.set(combineFiles(all, this.value));
  }

  /** What begins to refer to a Secret takes effect with it: without it a host would lose its certificate meanwhile. */
  #mayWait(): boolean {
    if (!this.value) return true;
    const now = performance.now();
    this.#waitingSince ??= now;
    const restMs = this.#waitingSince + secretGraceMs - now;
    clearTimeout(this.#timer);
    if (restMs > 0) this.#timer = setTimeout(this.#trigger, restMs);
    return restMs > 0;
  }

  #statuses(): CollectionStatus[] {
    const own = this.#collections.map(({ followed, collection }) => statusOf(followed, [collection]));
    const secrets = this.#secrets.collections;
    if (secrets.length === 0) return own;
    return [...own, statusOf({ kind: secretKind }, secrets)];
  }
}

function joinValues(collection: Collection<SourceFile>): () => SourceFile {
  const join = whenChanged((_revision: number): SourceFile => {
    const all = { resources: [] as Resource[], diagnostics: [] as Diagnostic[] };
    for (const { resources, diagnostics } of collection.values()) {
      for (const resource of resources) all.resources.push(resource);
      for (const diagnostic of diagnostics) all.diagnostics.push(diagnostic);
    }
    return all;
  });
  return () => join(collection.revision);
}
