import type { Heartbeat } from "./vm.ts";

// A guest that does not return cannot be interrupted from its own thread. So it beats in memory that another thread sees,
// and that one ends the worker.

/** A heartbeat in shared memory; `memory` goes to the thread that watches. */
export interface SharedHeartbeat extends Heartbeat {
  readonly memory: SharedArrayBuffer;
}

/** How often guests were entered, and whether one is running. */
const [entries, running] = [0, 1];
const samples = 4;

export function createHeartbeat(): SharedHeartbeat {
  return attachHeartbeat(new SharedArrayBuffer(8));
}

/** The same heartbeat in another thread. */
export function attachHeartbeat(memory: SharedArrayBuffer): SharedHeartbeat {
  const beat = new Int32Array(memory);
  return {
    memory,
    enter() {
      Atomics.add(beat, entries, 1);
      Atomics.store(beat, running, 1);
    },
    leave() {
      Atomics.store(beat, running, 0);
    },
  };
}

/**
 * Watches a heartbeat from another thread and reports, once, a guest that has run for longer than the limit; it may be a
 * quarter later. Does not keep the thread alive.
 */
export function watchHeartbeat(memory: SharedArrayBuffer, limitMs: number, onStuck: () => void): () => void {
  const beat = new Int32Array(memory);
  let since = performance.now();
  let last = -1;
  const timer = setInterval(sample, Math.max(1, limitMs / samples)).unref();
  return () => clearInterval(timer);

  function sample(): void {
    const entry = Atomics.load(beat, entries);
    if (Atomics.load(beat, running) === 0 || entry !== last) since = performance.now();
    last = entry;
    if (performance.now() - since < limitMs) return;
    clearInterval(timer);
    onStuck();
  }
}
