import { setTimeout as sleep } from "node:timers/promises";
import type { Log } from "../log.ts";
import { errorText } from "../system-error.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import type { KubernetesClient } from "./client.ts";
import { KubernetesError } from "./kubernetes-error.ts";
import { createLeaseLock, type LeaseRecord, microTime } from "./lease-lock.ts";
import { type LeaseWatch, watchLease } from "./lease-watch.ts";

export interface LeaderElectionOptions {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** The Lease's name: who wants the same name wants the same lead. */
  readonly name: string;
  /** Names this program among the others; must be its own. */
  readonly identity: string;
  readonly timing?: Partial<LeaderTiming>;
  readonly log: Log;
  /** Gives the lead back, and ends. */
  readonly signal: AbortSignal;
}

/** Times of an election, in milliseconds; the defaults are client-go's. */
export interface LeaderTiming {
  /** Who does not lead waits so long after it last saw the Lease change, by its own clock. */
  readonly leaseMs: number;
  /** Who leads gives up when it could not renew for so long; less than `leaseMs`. */
  readonly renewMs: number;
  /** Between two renewals, and between two looks at a Lease whose watch tells nothing. */
  readonly retryMs: number;
}

export const defaultLeaderTiming: LeaderTiming = { leaseMs: 15_000, renewMs: 10_000, retryMs: 2000 };

/** Whether this program leads, and when it has given the lead back after the signal aborted. */
export interface Leadership {
  readonly isLeader: Watchable<boolean>;
  /** Resolves when the signal has aborted and the Lease was given back, or could not be. */
  readonly ended: Promise<void>;
}

/** Who does not lead waits longer by up to so many times `retryMs`, so that not all try at once. */
// Unlike client-go: 1.2 there, by which a Lease that is not watched is seen to change seconds later.
const jitter = 0.2;
/** For giving the Lease back, in milliseconds. */
const releaseMs = 2000;

/**
 * Takes part in the election of a leader on a `coordination.k8s.io/v1` Lease, as client-go does: no clock is compared with
 * another's, since a Lease counts from when its change was seen here. Who cannot renew in time stops leading before
 * anybody else can begin to, and stands again.
 */
// Unlike client-go: it ends its program when it loses the lead, and who waits reads the Lease again and again.
export function electLeader(options: LeaderElectionOptions): Leadership {
  const { client, namespace, name, identity, log, signal } = options;
  const timing = { ...defaultLeaderTiming, ...options.timing };
  const isLeader = createWatchable(false);
  const lock = createLeaseLock(client, namespace, name);
  /** The Lease as it was last seen to change, and when, by `performance.now()`. */
  let observed: { readonly record: LeaseRecord; readonly at: number } | undefined;
  let failure = "";

  function observe(record: LeaseRecord): void {
    if (observed?.record.resourceVersion !== record.resourceVersion)
      observed = { record, at: performance.now() };
  }

  /** Acquires the Lease or renews it. Resolves with whether it is ours now. */
  async function attempt(timeoutMs: number): Promise<boolean> {
    const asked = performance.now();
    // Who leads need not look: if somebody else has written, this write is a conflict.
    if (!isLeader.value) {
      const found = await lock.read(timeoutMs, signal);
      if (found) observe(found);
      else observed = undefined;
    }
    const record = observed?.record;
    const isOwn = record?.holderIdentity === identity;
    const isFree = !record?.holderIdentity || isOwn || performance.now() > observed!.at + timing.leaseMs;
    if (!isFree) return false;
    const now = microTime(new Date());
    const next: LeaseRecord = {
      resourceVersion: record?.resourceVersion,
      holderIdentity: identity,
      leaseDurationSeconds: Math.ceil(timing.leaseMs / 1000),
      acquireTime: isOwn && record.acquireTime ? record.acquireTime : now,
      renewTime: now,
      leaseTransitions: (record?.leaseTransitions ?? -1) + (isOwn ? 0 : 1),
    };
    const written = await lock.write(next, timeoutMs, signal);
    // It counts from before it was asked for: others may have seen it right then.
    observed = { record: written, at: asked };
    return true;
  }

  async function tryOnce(timeoutMs: number): Promise<boolean> {
    try {
      const held = await attempt(timeoutMs);
      failure = "";
      return held;
    } catch (error) {
      if (signal.aborted) return false;
      // Somebody else was quicker: what is there now is to be read.
      if (error instanceof KubernetesError && error.status === 409) {
        if (isLeader.value) await reread(timeoutMs);
        return false;
      }
      const text = errorText(error);
      if (text !== failure)
        log.warn({ lease: `${namespace}/${name}`, error: text }, "the Lease is not to be had");
      failure = text;
      return false;
    }
  }

  async function reread(timeoutMs: number): Promise<void> {
    const found = await lock.read(timeoutMs, signal).catch(() => undefined);
    if (found) observe(found);
  }

  async function acquire(): Promise<void> {
    const over = new AbortController();
    let watch: LeaseWatch | undefined;
    try {
      while (!signal.aborted && !(await tryOnce(timing.renewMs / 2))) {
        watch ??= watchLease({
          client,
          namespace,
          name,
          log,
          signal: AbortSignal.any([signal, over.signal]),
        });
        await untilWorthAnAttempt(watch);
      }
    } finally {
      over.abort();
    }
  }

  /** Until the Lease is over or given back, or nothing was heard of it for so long that it is to be read. */
  async function untilWorthAnAttempt(watch: LeaseWatch): Promise<void> {
    let waitMs = timing.retryMs * (1 + Math.random() * jitter);
    while (await watch.changesWithin(Math.min(waitMs, restOfLease() || waitMs))) {
      if (!watch.lease?.holderIdentity) return;
      observe(watch.lease);
      // Who leads renews every `retryMs`: while that is heard there is nothing to read.
      waitMs = 2 * timing.retryMs;
    }
  }

  /** How long somebody else's Lease has still to run, in milliseconds; 0 where there is none. */
  function restOfLease(): number {
    if (!observed?.record.holderIdentity) return 0;
    return Math.max(0, Math.ceil(observed.at + timing.leaseMs - performance.now()));
  }

  /** Renews for as long as that goes well. */
  async function keep(): Promise<void> {
    let renewed = observed!.at;
    let asked = renewed;
    while (!signal.aborted) {
      // From when the last attempt began: one that was in vain for long, over a dead connection, is followed by the next.
      await pause(Math.min(asked + timing.retryMs, renewed + timing.renewMs) - performance.now());
      asked = performance.now();
      const restMs = renewed + timing.renewMs - asked;
      if (signal.aborted || restMs <= 0) return;
      if (await tryOnce(Math.max(1, Math.min(restMs, timing.renewMs / 2)))) renewed = observed!.at;
      else if (observed?.record.holderIdentity !== identity) return;
    }
  }

  function pause(ms: number): Promise<void> {
    return sleep(Math.max(0, ms), undefined, { signal }).catch(() => {});
  }

  /** So that another can lead at once. */
  async function release(): Promise<void> {
    if (observed?.record.holderIdentity !== identity) return;
    const now = microTime(new Date());
    const record: LeaseRecord = {
      ...observed.record,
      holderIdentity: "",
      leaseDurationSeconds: 1,
      acquireTime: now,
      renewTime: now,
    };
    await lock.write(record, releaseMs).catch((error) => {
      log.warn(
        { lease: `${namespace}/${name}`, error: errorText(error) },
        "the Lease could not be given back",
      );
    });
  }

  async function run(): Promise<void> {
    while (!signal.aborted) {
      await acquire();
      if (signal.aborted) break;
      log.info({ lease: `${namespace}/${name}`, identity }, "leading");
      isLeader.set(true);
      await keep();
      isLeader.set(false);
      if (!signal.aborted) log.warn({ lease: `${namespace}/${name}`, identity }, "not leading any more");
    }
    await release();
  }

  return { isLeader, ended: run() };
}
