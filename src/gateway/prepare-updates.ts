import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import type { Watchable } from "../watchable.ts";
import type { TypeUpdate } from "../xds/client.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import {
  acceptUpdate,
  type CompiledUpdate,
  compileResource,
  emptyConfig,
  isRefused,
  type Outcome,
} from "./apply-response.ts";
import type { GatewayConfig, Received, Refused } from "./gateway-config.ts";
import { type ConfigOf, type ReceivedKey, receivedKeys } from "./resource-kinds.ts";

/**
 * Gets ready what a configuration brings, so that it can be in effect at once. Rejects with the reason to refuse it. What
 * was got ready may go when the signal aborts, unless the configuration is in effect by then.
 */
export type Prepare<T> = (config: T, signal: AbortSignal) => Promise<void>;

/** By what has to be got ready; what is not there needs nothing. */
export type Preparers = { readonly [K in ReceivedKey]?: Prepare<ConfigOf<K>> };

export interface UpdatesOptions {
  readonly config: Watchable<GatewayConfig>;
  readonly preparers: Preparers;
  /** Told after something was taken, and answered if all of its response was. */
  onTaken(): void;
  readonly log: Log;
}

/** A response of a server of xDS. */
export interface Update extends TypeUpdate {
  readonly version: string;
}

/** Takes responses into a configuration. */
export interface Updates {
  /** Takes a response; `answer` gets by name what of it is refused, when that is known of all of it. */
  take(update: Update, answer: (errors: ReadonlyMap<string, string>) => void): void;
  /** Nobody asks for these any more. */
  drop(typeUrl: string, names: readonly string[]): void;
  /** What is not in effect yet never will be. */
  close(): void;
}

/** A version of a resource that is not in effect yet. */
interface Pending {
  readonly received: Received<unknown>;
  readonly begun: Begun;
  readonly wanted: AbortController;
}

/** A response of which not everything is known yet. */
interface Begun {
  readonly typeUrl: string;
  readonly open: Set<string>;
  readonly errors: Map<string, string>;
  answer(errors: ReadonlyMap<string, string>): void;
}

/**
 * Takes responses resource by resource: one that has to be got ready counts when it is, and holds up no other; a newer
 * version of it takes its place. One that cannot be got ready is refused, and what was in effect before stays.
 */
export function createUpdates({ config, preparers, onTaken, log }: UpdatesOptions): Updates {
  const pending = new Map<string, Pending>();
  return {
    take(update, answer) {
      const { typeUrl, changed, removed, version } = update;
      const key = receivedKeys.get(typeUrl);
      if (!key) return answer(new Map([[typeUrl, "a type that was not asked for"]]));
      const begun = { typeUrl, open: new Set(changed.map(({ name }) => name)), errors: new Map(), answer };
      drop(typeUrl, removed);
      const ready = new Map<string, Outcome>();
      for (const resource of changed) {
        const outcome = compile(key, resource, pending.get(idOf(typeUrl, resource.name))?.received);
        if (needsNothing(key, outcome)) {
          drop(typeUrl, [resource.name]);
          ready.set(resource.name, outcome);
        } else void begin(key, begun, outcome as Received<unknown>);
      }
      accept({ key, outcomes: ready, removed, version }, begun);
    },
    drop,
    close() {
      for (const { wanted } of pending.values()) wanted.abort();
      pending.clear();
    },
  };

  function current(): GatewayConfig {
    return config.value ?? emptyConfig;
  }

  function compile(key: ReceivedKey, resource: XdsResource, before: Received<unknown> | undefined): Outcome {
    try {
      return compileResource(current(), key, resource, before);
    } catch (error) {
      log.error({ name: resource.name, reason: errorText(error) }, "a resource could not be compiled");
      return refusedAs(resource, errorText(error));
    }
  }

  function needsNothing(key: ReceivedKey, outcome: Outcome): boolean {
    if (isRefused(outcome) || !preparers[key]) return true;
    return current().received[key].accepted.get(outcome.name)?.config === outcome.config;
  }

  async function begin(key: ReceivedKey, begun: Begun, received: Received<unknown>): Promise<void> {
    const { typeUrl } = begun;
    const { name } = received;
    const wanted = new AbortController();
    const prepare = preparers[key] as Prepare<unknown>;
    const prepared = prepare(received.config, wanted.signal);
    // Only now that this one wants it too: what the version before has begun goes on.
    drop(typeUrl, [name]);
    pending.set(idOf(typeUrl, name), { received, begun, wanted });
    const reason = await prepared.then(() => undefined, errorText);
    if (wanted.signal.aborted) return;
    pending.delete(idOf(typeUrl, name));
    const outcome = reason === undefined ? received : refusedAs(received, reason);
    accept({ key, outcomes: new Map([[name, outcome]]), removed: [] }, begun);
    wanted.abort();
  }

  /** Puts into effect what is ready of a response. What is thrown refuses it. */
  function accept(update: CompiledUpdate, begun: Begun): void {
    const { typeUrl, errors } = begun;
    try {
      const applied = acceptUpdate(current(), update);
      config.set(applied.config);
      for (const [name, reason] of applied.errors) {
        errors.set(name, reason);
        log.warn({ typeUrl, name, reason }, "refused");
      }
    } catch (error) {
      const reason = errorText(error);
      log.error({ typeUrl, reason }, "a response could not be applied");
      for (const name of update.outcomes.keys()) errors.set(name, reason);
    }
    for (const name of update.outcomes.keys()) begun.open.delete(name);
    if (begun.open.size === 0) begun.answer(begun.errors);
    onTaken();
  }

  /** What is overtaken, or not wanted any more, is nobody's concern: it refuses nothing. */
  function drop(typeUrl: string, names: readonly string[]): void {
    for (const name of names) {
      const known = pending.get(idOf(typeUrl, name));
      if (!known) continue;
      pending.delete(idOf(typeUrl, name));
      known.wanted.abort();
      const { begun } = known;
      if (begun.open.delete(name) && begun.open.size === 0) begun.answer(begun.errors);
    }
  }
}

function idOf(typeUrl: string, name: string): string {
  return `${typeUrl} ${name}`;
}

function refusedAs({ name, version, typeUrl, value }: XdsResource, reason: string): Refused {
  return { name, version, typeUrl, value, refusedAt: new Date(), reason };
}
