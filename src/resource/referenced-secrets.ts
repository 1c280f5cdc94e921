import { getOrCreate } from "../get-or-create.ts";
import { flatMapIncrementally, sameItems, whenChanged } from "../incremental.ts";
import type { KubernetesClient } from "../kubernetes/client.ts";
import type { Collection, Patience } from "../kubernetes/collection.ts";
import { followCollection } from "../kubernetes/list-watch.ts";
import { collectionPath, secretKind } from "./kubernetes-kinds.ts";
import { readObject } from "./read-object.ts";
import type { SourceFile } from "./source-state.ts";
import type { Resource } from "./types.ts";

export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

interface Follower {
  readonly collection: Collection<SourceFile>;
  /** Stands for it while it could not be read once; the same object for the same reason. */
  readonly placeholder: (reason: string) => SourceFile;
  readonly ending: AbortController;
}

export interface ReferencedSecretsOptions {
  readonly client: KubernetesClient;
  /** The Secrets that a resource refers to. */
  readonly secretsOf: (resource: Resource) => readonly ObjectName[];
  readonly onChange: () => void;
  readonly patience?: Partial<Patience>;
}

/**
 * There can be thousands, each with a watch of its own that has to be asked for again and again. That one stalls is
 * known sooner by the watches of other kinds.
 */
const secretWatchMs = 600_000;
/**
 * Between two attempts at Secrets without a right to them, milliseconds: hundreds of hosts' certificates may be in
 * namespaces that core was given no right to, and everything else is asked for over the same limit.
 */
const betweenRefusedMs = 50;

type NamesOf = (resources: readonly Resource[]) => readonly ObjectName[];

/** The Secrets that something refers to, each followed by itself: no other one is ever asked for. */
export class ReferencedSecrets {
  readonly #options: ReferencedSecretsOptions;
  readonly #followers = new Map<string, Follower>();
  readonly #wanted = new Set<string>();
  /** Of each file, what the resources refer to, and how that is found. */
  #names: readonly (readonly ObjectName[])[] = [];
  readonly #namesOf = new Map<number, NamesOf>();

  constructor(options: ReferencedSecretsOptions) {
    this.#options = options;
  }

  get collections(): readonly Collection<SourceFile>[] {
    return [...this.#followers.values()].map(({ collection }) => collection);
  }

  /** What is known of each, as files would say it; where nothing is, why. */
  values(): SourceFile[] {
    return [...this.#followers.values()].flatMap(({ collection, placeholder }) => {
      const { synced, failure } = collection.state;
      return synced || failure === undefined ? collection.values() : [placeholder(failure)];
    });
  }

  /** Begins to follow what the files' resources refer to. What they do not stays until `forgetOthers`. */
  follow(files: readonly SourceFile[]): void {
    const names = files.map(({ resources }, index) =>
      getOrCreate(this.#namesOf, index, () => flatMapIncrementally(this.#options.secretsOf))(resources),
    );
    if (sameItems(names, this.#names)) return;
    this.#names = names;
    this.#wanted.clear();
    for (const name of names.flat()) {
      const key = `${name.namespace}/${name.name}`;
      this.#wanted.add(key);
      getOrCreate(this.#followers, key, () => this.#start(name));
    }
  }

  /** Whether each Secret was read or cannot be read at the moment. A missing one was read. */
  get settled(): boolean {
    return this.collections.every(({ state }) => state.synced || state.failure !== undefined);
  }

  /** Ends the following of what nothing refers to any more. */
  forgetOthers(): void {
    for (const [key, { ending }] of this.#followers) {
      if (this.#wanted.has(key)) continue;
      ending.abort();
      this.#followers.delete(key);
    }
  }

  /** Begins their watches anew, where the last version seen was. */
  resume(): void {
    for (const collection of this.collections) collection.resume();
  }

  end(): void {
    this.#wanted.clear();
    this.forgetOthers();
  }

  #start({ namespace, name }: ObjectName): Follower {
    const ending = new AbortController();
    const { client, onChange, patience } = this.#options;
    const collection = followCollection<SourceFile>({
      client,
      path: collectionPath({ kind: secretKind, namespace }),
      fieldSelector: `metadata.name=${name}`,
      keep: (object, before) => readObject(object, secretKind, before),
      onChange,
      refusedPauseMs: () => this.#refusedPauseMs(),
      signal: ending.signal,
      patience: { watchMs: secretWatchMs, ...patience },
    });
    const metadata = { namespace, name };
    const placeholder = whenChanged((unreadable: string): SourceFile => {
      return { resources: [{ kind: "Secret", metadata, type: "", data: {}, unreadable }], diagnostics: [] };
    });
    return { collection, placeholder, ending };
  }

  #refusedPauseMs(): number {
    const count = this.collections.filter(({ state }) => state.refused).length;
    return count * betweenRefusedMs * (0.75 + Math.random() / 2);
  }
}
