import { existsSync, readlinkSync } from "node:fs";
import { SystemError } from "../system-error.ts";

// One SharedArrayBuffer, in words of 32 bits: fixed places first, then tables, then the heap.
//
// One lock guards it. A thread may be terminated between any two statements, so each write to what others rely on goes
// through `put`, which notes the old value first. Whoever finds the lock with a thread that is gone takes it over and puts
// the old values back: what that thread was in the middle of has then not happened.

/** Fixed places, by word. */
export const place = {
  lock: 1,
  journalLength: 2,
  lastCas: 3,
  lastQueue: 4,
  lastMetric: 5,
  usedWords: 6,
  bucketCount: 7,
  /** Heads of the heap's lists of free blocks, by size. */
  bins: 16,
  journal: 64,
} as const;

const journalEntries = 256;
const maxThreads = 1024;
const threadTable = place.journal + 2 * journalEntries;
const wakeTable = threadTable + maxThreads;

export const maxQueues = 4096;
export const maxMetrics = 16_384;
export const queueTable = wakeTable + maxThreads;
export const metricTable = queueTable + maxQueues;
export const bucketTable = metricTable + maxMetrics;

/** Set in the lock beside its thread when somebody may be waiting. */
const waitersBit = 0x4000_0000;
const spins = 200;
const lookAgainMs = 20;
const defaultLockTimeoutMs = 10_000;
/** In the table of threads where the system does not tell who runs. */
export const unknownThread = -1;

export interface SharedMemory {
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
  readonly longs: BigInt64Array;
  /** This thread's place in the table of threads, from 1. */
  readonly thread: number;
  /** Runs `body` with no other thread inside. When it throws, or its thread ends, none of what it `put` remains. */
  locked<T>(body: () => T): T;
  /** Writes a word, inside of `locked`. */
  put(at: number, value: number): void;
}

/** Where the system's number of a thread is. */
export function threadWord(thread: number): number {
  return threadTable + thread;
}

/** Where a thread waits to be woken. */
export function wakeWord(thread: number): number {
  return wakeTable + thread;
}

/**
 * For this thread. `locked` throws SystemError `timeout` when another thread stays in the lock for `lockTimeoutMs`. Where
 * the system does not tell whether that one is still there (only Linux does), it counts as gone then.
 */
export function openSharedMemory(
  buffer: SharedArrayBuffer,
  lockTimeoutMs = defaultLockTimeoutMs,
): SharedMemory {
  const words = new Int32Array(buffer);
  const thread = claimThread(words);
  return {
    words,
    bytes: new Uint8Array(buffer),
    longs: new BigInt64Array(buffer),
    thread,
    locked(body) {
      if (Atomics.compareExchange(words, place.lock, 0, thread) !== 0)
        waitForLock(words, thread, lockTimeoutMs);
      try {
        const result = body();
        words[place.journalLength] = 0;
        return result;
      } catch (error) {
        rollBack(words);
        throw error;
      } finally {
        if (Atomics.exchange(words, place.lock, 0) & waitersBit) Atomics.notify(words, place.lock, 1);
      }
    },
    put(at, value) {
      const length = words[place.journalLength]!;
      if (length === journalEntries) throw new Error("the journal of the shared memory is full");
      const entry = place.journal + 2 * length;
      words[entry] = at;
      words[entry + 1] = words[at]!;
      words[place.journalLength] = length + 1;
      words[at] = value;
    },
  };
}

/** The lock is somebody's. Returns when it is this thread's; whoever is gone is not waited for. */
function waitForLock(words: Int32Array, thread: number, lockTimeoutMs: number): void {
  const end = performance.now() + lockTimeoutMs;
  for (let round = 0; ; round++) {
    const found = Atomics.load(words, place.lock);
    // With the bit, as there may be others who wait: the one who wakes them is who has the lock.
    if (found === 0 && replaceLock(words, 0, thread | waitersBit)) return;
    if (found === 0 || round < spins) continue;
    const contended = found | waitersBit;
    if (found !== contended && !replaceLock(words, found, contended)) continue;
    if (Atomics.wait(words, place.lock, contended, lookAgainMs) !== "timed-out") continue;
    const late = performance.now() > end;
    if (mayTakeOver(words, found & ~waitersBit, thread, late)) {
      if (!replaceLock(words, contended, thread | waitersBit)) continue;
      rollBack(words);
      return;
    }
    if (late) throw new SystemError("timeout", `the shared stores were not free for ${lockTimeoutMs} ms`);
  }
}

/** A thread that waits for itself left the lock when even its `finally` failed, as for want of stack. */
function mayTakeOver(words: Int32Array, holder: number, thread: number, late: boolean): boolean {
  if (holder === thread) return true;
  const known = words[threadWord(holder)]!;
  return known === unknownThread ? late : isGone(known);
}

function replaceLock(words: Int32Array, expected: number, value: number): boolean {
  return Atomics.compareExchange(words, place.lock, expected, value) === expected;
}

function rollBack(words: Int32Array): void {
  for (let length = words[place.journalLength]!; length > 0; length--) {
    const entry = place.journal + 2 * (length - 1);
    words[words[entry]!] = words[entry + 1]!;
    words[place.journalLength] = length - 1;
  }
}

/** A free place in the table of threads, or that of a thread which is gone, unless it still has the lock. */
function claimThread(words: Int32Array): number {
  const own = currentThread();
  for (let thread = 1; thread < maxThreads; thread++) {
    const known = Atomics.load(words, threadWord(thread));
    if (known !== 0 && (known === unknownThread || !isGone(known))) continue;
    if ((Atomics.load(words, place.lock) & ~waitersBit) === thread) continue;
    if (Atomics.compareExchange(words, threadWord(thread), known, own) === known) return thread;
  }
  throw new SystemError("too-large", `more than ${maxThreads - 1} threads use the shared stores`);
}

/** Linux' number of this thread, if it can be looked up. Node has none that tells whether another thread is still there. */
function currentThread(): number {
  try {
    const number = Number(readlinkSync("/proc/thread-self").split("/").at(-1));
    return number > 0 && !isGone(number) ? number : unknownThread;
  } catch {
    return unknownThread;
  }
}

function isGone(thread: number): boolean {
  return !existsSync(`/proc/self/task/${thread}`);
}
