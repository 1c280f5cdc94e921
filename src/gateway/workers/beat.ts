import type { Heartbeat } from "../../proxy-wasm/index.ts";

// A thread that does not return to its event loop cannot be asked anything. So it beats in memory that the main thread
// sees, and notes there which plugin runs.

const [turns, running] = [0, 1];
const samples = 4;

export function createBeatMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(8);
}

/** The worker's side. */
export interface Beat {
  /** Notes who runs. */
  readonly guests: Heartbeat;
  stop(): void;
}

/** Beats from this thread's event loop. `onName` hears, before a plugin runs for the first time, by which number it goes. */
export function startBeat(
  memory: SharedArrayBuffer,
  everyMs: number,
  onName: (id: number, plugin: string) => void,
): Beat {
  const beat = new Int32Array(memory);
  const ids = new Map<string, number>();
  let last = "";
  let lastId = 0;
  const timer = setInterval(() => Atomics.add(beat, turns, 1), everyMs);
  Atomics.add(beat, turns, 1);
  return {
    guests: {
      enter(plugin = "") {
        if (plugin !== last || lastId === 0) remember(plugin);
        Atomics.store(beat, running, lastId);
      },
      leave: () => Atomics.store(beat, running, 0),
    },
    stop: () => clearInterval(timer),
  };

  function remember(plugin: string): void {
    last = plugin;
    lastId = ids.get(plugin) ?? 0;
    if (lastId !== 0) return;
    lastId = ids.size + 1;
    ids.set(plugin, lastId);
    onName(lastId, plugin);
  }
}

/** The number of the plugin that runs, or 0. */
export function runningIn(memory: SharedArrayBuffer): number {
  return Atomics.load(new Int32Array(memory), running);
}

/** How long a thread may take to load its code, in milliseconds. */
const loadMs = 60_000;

/**
 * Watches a thread from another one and reports, once, that it has not beaten for `limitMs`; it may be a quarter later.
 * What is counted are looks and not time: a machine that slept has missed none. Does not keep the thread alive.
 */
export function watchBeat(memory: SharedArrayBuffer, limitMs: number, onStuck: () => void): () => void {
  const beat = new Int32Array(memory);
  const everyMs = Math.max(1, limitMs / samples);
  let seen = 0;
  let missed = 0;
  const timer = setInterval(() => {
    const now = Atomics.load(beat, turns);
    missed = now === seen ? missed + 1 : 0;
    seen = now;
    if (missed < (seen === 0 ? loadMs / everyMs : samples)) return;
    clearInterval(timer);
    onStuck();
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
