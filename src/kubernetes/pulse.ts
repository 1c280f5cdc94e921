/** What a pulse is taken of. */
export interface PulseOptions {
  /** Between two pings, in milliseconds; and how long one may be followed by nothing at all. */
  readonly pingMs: number;
  /** Bytes read so far, of whatever kind. */
  readonly bytesRead: () => number;
  readonly ping: (answered: () => void) => unknown;
  /** Is called before each ping. */
  readonly onBeat: () => void;
  /** Nothing was read for `pingMs` after a ping. */
  readonly onDead: () => void;
}

export interface Pulse {
  /** Asks now, and not when it is time. */
  ask(): void;
  end(): void;
}

/** The waiting is cut into so many pieces, each of which counts as one however long this program was busy meanwhile. */
const pieces = 5;

/** Finds out whether the other side lives, by pings. Its timers keep no program alive. */
export function createPulse({ pingMs, bytesRead, ping, onBeat, onDead }: PulseOptions): Pulse {
  let timer: NodeJS.Timeout | undefined;
  let isWaiting = false;
  let hasEnded = false;
  function after(ms: number, act: () => void): void {
    clearTimeout(timer);
    if (!hasEnded) timer = setTimeout(act, ms).unref();
  }
  function rest(): void {
    isWaiting = false;
    after(pingMs, beat);
  }
  function beat(): void {
    onBeat();
    ask();
  }
  function ask(): void {
    if (isWaiting || hasEnded) return;
    isWaiting = true;
    const before = bytesRead();
    waitFor(before, pieces);
    ping(rest);
  }
  function waitFor(before: number, left: number): void {
    after(pingMs / pieces, () => {
      if (bytesRead() !== before) rest();
      else if (left > 1) waitFor(before, left - 1);
      else onDead();
    });
  }
  rest();
  return {
    ask,
    end() {
      hasEnded = true;
      clearTimeout(timer);
    },
  };
}
