import type { KubernetesClient } from "../../kubernetes/client.ts";
import { KubernetesError } from "../../kubernetes/kubernetes-error.ts";
import type { ListPage } from "../../kubernetes/objects.ts";
import type { Log } from "../../log.ts";
import { formatRef } from "../../resource/diagnostic.ts";
import { errorText } from "../../system-error.ts";
import { createEvent, eventsOf, postEvent } from "./events.ts";
import { type KnownStatus, readStatuses } from "./known-statuses.ts";
import type { PluginStatuses, StatusOfPlugin } from "./plugin-statuses.ts";
import { isSameStatus, statusBody, type WrittenCondition, wasmPluginApi } from "./status-body.ts";
import { createWriteOutages } from "./write-outages.ts";

export interface StatusWriterOptions {
  readonly client: KubernetesClient;
  /** The namespaces of the plugins that have a status; undefined among them stands for all. */
  readonly namespaces: readonly (string | undefined)[];
  /** Whose plugins take effect here. What another installation says of those in other namespaces is left as it is. */
  readonly systemNamespace: string;
  /** Names this core in events. */
  readonly instance: string;
  /** Hears of each request that writes a status or an event. */
  readonly onWrite?: (what: "status" | "event", result: "success" | "failure") => void;
  readonly log: Log;
  /** Ends the writing, with the leadership. */
  readonly signal: AbortSignal;
}

export interface StatusWriter {
  /** Sees to it that the cluster has these statuses, soon. Looks at those with the keys in `changed` only, if it is given. */
  write(statuses: PluginStatuses, changed?: Iterable<string>): void;
}

/** A status that gateways are just about to change is not worth a request, milliseconds. */
const settleMs = 1000;
/** Between two writes to one object, milliseconds. */
const intervalMs = 1000;
const maxConcurrent = 4;
/** Events a minute; more of them nobody reads. */
const maxEventsAMinute = 300;

/**
 * Writes statuses into the cluster's objects by server-side apply: each when it has become another one, not more often
 * than once a second, four at a time. Begins with what is there already, so that taking over costs one list.
 * @throws KubernetesError | SystemError where that cannot be read
 */
export async function createStatusWriter(options: StatusWriterOptions): Promise<StatusWriter> {
  const { client, namespaces, systemNamespace, instance, onWrite, log, signal } = options;
  /** Who owns what this installation writes (server-side apply). */
  const fieldManager = `wasmline-core-${systemNamespace}`;
  const known = new Map<string, KnownStatus>();
  for (const namespace of namespaces)
    await readStatuses({ client, namespace, fieldManager, signal }, (key, status) => known.set(key, status));

  let statuses: PluginStatuses = new Map();
  /** When each status that has changed may be written, by `performance.now()`. */
  const due = new Map<string, number>();
  const lastWrite = new Map<string, number>();
  const allowEvent = limitPerMinute(maxEventsAMinute);
  /** One write at a time to each object, so that the last one is the newest. */
  const running = new Set<string>();
  const outages = createWriteOutages(log);
  let timer: NodeJS.Timeout | undefined;
  /** Events go one after the other: who reads them wants their order, and nobody waits for them. */
  let lastEvent = Promise.resolve();
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });

  function pump(): void {
    clearTimeout(timer);
    if (signal.aborted) return;
    const now = performance.now();
    let next = Number.POSITIVE_INFINITY;
    for (const [key, at] of due) {
      if (running.has(key)) continue;
      const earliest = Math.max(at, outages.restsUntil(statuses.get(key)?.ref.namespace ?? ""));
      if (earliest > now) next = Math.min(next, earliest);
      else if (running.size >= maxConcurrent) return;
      else start(key);
    }
    if (next < Number.POSITIVE_INFINITY) timer = setTimeout(pump, next - now);
  }

  function start(key: string): void {
    due.delete(key);
    running.add(key);
    void writeOne(key).finally(() => {
      running.delete(key);
      // What has changed meanwhile waits its time.
      if (due.has(key)) due.set(key, Math.max(due.get(key)!, restedAt(key)));
      pump();
    });
  }

  function restedAt(key: string): number {
    return (lastWrite.get(key) ?? Number.NEGATIVE_INFINITY) + intervalMs;
  }

  async function writeOne(key: string): Promise<void> {
    const status = statuses.get(key);
    if (!status?.server) return;
    const { uid } = status.server;
    const before = known.get(key);
    const { namespace, name } = status.ref;
    const isOwn = namespace === systemNamespace;
    if (!isOwn && before?.uid === uid && before.isOthers) return;
    const own = before?.uid === uid ? before.body : undefined;
    const body = statusBody(status, own, new Date());
    if (isSameStatus(own, body)) return;
    try {
      await client.request(
        "PATCH",
        `/apis/${wasmPluginApi.apiVersion}/namespaces/${namespace}/wasmplugins/${name}/status`,
        {
          query: { fieldManager, force: String(isOwn) },
          contentType: "application/apply-patch+yaml",
          body: { ...wasmPluginApi, metadata: { namespace, name }, status: body },
          signal,
        },
      );
      onWrite?.("status", "success");
      outages.succeeded(namespace, key);
      lastWrite.set(key, performance.now());
      known.set(key, { uid, body, isOthers: false });
      for (const condition of eventsOf(own, body)) report(status, condition);
    } catch (error) {
      if (signal.aborted || isEnding(error)) return;
      if (isUnknown(error) && !(await isThere(status))) return;
      if (!isOwn && isOwnedByOther(error)) return void known.set(key, { uid, body: own, isOthers: true });
      onWrite?.("status", "failure");
      due.set(key, outages.failed(namespace, key, formatRef(status.ref), error));
    }
  }

  /** Whether it is there all the same: of a CRD without a status the API server says that there is no such object. */
  async function isThere({ ref: { namespace, name }, server }: StatusOfPlugin): Promise<boolean> {
    const path = `/apis/${wasmPluginApi.apiVersion}/namespaces/${namespace}/wasmplugins`;
    const query = { fieldSelector: `metadata.name=${name}` };
    const list = await client.request("GET", path, { query, signal }).catch(() => undefined);
    const found = (list as ListPage | undefined)?.items?.[0]?.metadata;
    return found !== undefined && found.uid === server?.uid && found.deletionTimestamp === undefined;
  }

  function report(status: StatusOfPlugin, condition: WrittenCondition): void {
    if (!allowEvent()) return;
    const event = createEvent(status, condition, instance, new Date());
    lastEvent = lastEvent.then(() => send(event, status));
  }

  async function send(event: ReturnType<typeof createEvent>, status: StatusOfPlugin): Promise<void> {
    if (signal.aborted) return;
    try {
      await postEvent(client, event, signal);
      onWrite?.("event", "success");
    } catch (error) {
      if (signal.aborted || isEnding(error) || isUnknown(error)) return;
      onWrite?.("event", "failure");
      log.warn({ plugin: formatRef(status.ref), error: errorText(error) }, "cannot write an event");
    }
  }

  function forget(key: string): void {
    for (const map of [due, lastWrite, known]) map.delete(key);
    outages.forget(key);
  }

  return {
    write(next, changed = new Set([...statuses.keys(), ...next.keys()])) {
      statuses = next;
      const now = performance.now();
      for (const key of changed) {
        const status = statuses.get(key);
        if (!status) forget(key);
        else if (status.server)
          due.set(key, Math.max(restedAt(key), now + (status.isPending ? settleMs : 0)));
      }
      pump();
    },
  };
}

/** The object's namespace is going, and the object with it. */
function isEnding(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 403 && /being terminated/.test(error.message);
}

function isUnknown(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 404;
}

/** Another installation has written that status, and knows better. */
function isOwnedByOther(error: unknown): boolean {
  return error instanceof KubernetesError && error.status === 409;
}

function limitPerMinute(count: number): () => boolean {
  let tokens = count;
  let last = performance.now();
  return () => {
    const now = performance.now();
    tokens = Math.min(count, tokens + ((now - last) * count) / 60_000);
    last = now;
    if (tokens < 1) return false;
    tokens--;
    return true;
  };
}
