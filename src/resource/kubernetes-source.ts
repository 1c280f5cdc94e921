import { whenChanged } from "../incremental.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { Collection, Patience } from "../kubernetes/collection.ts";
import { followCollection } from "../kubernetes/list-watch.ts";
import { type Log, silentLog } from "../log.ts";
import { coalesce, createWatchable, type Watchable } from "../watchable.ts";
import {
  collectionPath,
  type Followed,
  followedKinds,
  resourceName,
  secretKind,
} from "./kubernetes-kinds.ts";
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
  #waitingSince: number | undefined;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: KubernetesSourceOptions) {
    const { client, secretsOf, watchNamespace, signal, log = silentLog, patience } = options;
    const { systemNamespace = defaultSystemNamespace } = options;
    this.#options = options;
    this.#noteOutages = createOutageLog(client.server, log);
    const publish = coalesce(
      () => this.#publish(),
      undefined,
      (error) => log.error({ error }, "source"),
    );
    const onChange = () => !signal.aborted && publish();
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
    const wanted = this.#secrets.follow(files.flatMap(({ resources }) => resources));
    if (!this.#secrets.settled && this.#mayWait()) return;
    this.#waitingSince = undefined;
    clearTimeout(this.#timer);
    this.#secrets.forget(wanted);
    const secrets = this.#secrets.collections.flatMap((collection) => collection.values());
    this.#state.set(combineFiles([...files, ...secrets], this.value));
  }

  /** What begins to refer to a Secret takes effect with it: without it a host would lose its certificate meanwhile. */
  #mayWait(): boolean {
    if (!this.value) return true;
    const now = performance.now();
    this.#waitingSince ??= now;
    const restMs = this.#waitingSince + secretGraceMs - now;
    clearTimeout(this.#timer);
    if (restMs > 0) this.#timer = setTimeout(() => this.#publish(), restMs);
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
    const files = collection.values();
    return {
      resources: files.flatMap(({ resources }) => resources),
      diagnostics: files.flatMap(({ diagnostics }) => diagnostics),
    };
  });
  return () => join(collection.revision);
}

function statusOf(
  { kind, namespace }: Followed,
  collections: readonly Collection<SourceFile>[],
): CollectionStatus {
  const states = collections.map(({ state }) => state);
  const sum = (field: "lists" | "relists" | "watchRestarts" | "stalls" | "failures") =>
    states.reduce((total, state) => total + state[field], 0);
  const failing = states.find(({ failure }) => failure !== undefined);
  return {
    resource: resourceName(kind),
    ...(namespace && { namespace }),
    objects: collections.reduce((total, collection) => total + collection.size, 0),
    synced: states.every(({ synced }) => synced),
    watching: states.every(({ watching }) => watching),
    ...(failing && { failure: failing.absent ? absentText(kind.kind, resourceName(kind)) : failing.failure }),
    lists: sum("lists"),
    relists: sum("relists"),
    watchRestarts: sum("watchRestarts"),
    stalls: sum("stalls"),
    failures: sum("failures"),
  };
}

function absentText(kind: string, resource: string): string {
  return `the cluster has no ${resource}: no ${kind} takes effect until its CRD is installed (kubectl apply -f api/crds)`;
}
