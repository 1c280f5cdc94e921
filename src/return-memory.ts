import { performance } from "node:perf_hooks";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const mib = 1024 * 1024;
const afterMs = 3000;
/** The second collection is the one that returns the pages that the first has emptied. */
const secondAfterMs = 500;
const worthBytes = 128 * mib;

/**
 * Gives the memory of a large first load back: what was read and is not needed any more would otherwise stay for half a
 * minute or longer, because an idle V8 collects nothing. Some seconds after the start, and only where it is worth the
 * pause (tens of ms).
 */
export function returnMemoryOfStart(signal: AbortSignal): void {
  const collectIfWorth = () => {
    if (process.memoryUsage.rss() >= worthBytes) collect();
  };
  const timers = [afterMs, afterMs + secondAfterMs].map((ms) => setTimeout(collectIfWorth, ms).unref());
  signal.addEventListener("abort", () => timers.forEach(clearTimeout), { once: true });
}

const lookMs = 1000;
/** Growth that is worth a pause when there is nothing to do, and growth that is worth one at any time. */
const idleGrowth = 48 * mib;
const busyGrowth = 96 * mib;
/** The part of the time that a program with nothing much to do is at work. */
const idleShare = 0.3;

/**
 * Gives memory back whenever much of it may be garbage: left to itself, V8 lets the heap grow to several times of what is
 * in use, and keeps the pages. Looks once a second; a collection is a pause of tens of ms. V8 could move everything
 * together at once, but needs as much memory again as is in use while it does.
 */
export function returnMemory(signal: AbortSignal): void {
  let kept = 0;
  let second: NodeJS.Timeout | undefined;
  let last = performance.eventLoopUtilization();
  const look = () => {
    const now = performance.eventLoopUtilization();
    const share = performance.eventLoopUtilization(now, last).utilization;
    last = now;
    if (!isWorthCollecting(usedBytes() - kept, share)) return;
    collect();
    second = setTimeout(collect, secondAfterMs).unref();
    kept = usedBytes();
  };
  const timer = setInterval(look, lookMs).unref();
  const end = () => [timer, second].forEach(clearTimeout);
  signal.addEventListener("abort", end, { once: true });
}

/** Whether to collect after a growth in bytes; `share` is the part of the last second that went to work. */
export function isWorthCollecting(growth: number, share: number): boolean {
  return growth >= (share < idleShare ? idleGrowth : busyGrowth);
}

function usedBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** V8's `gc`, made when it is first needed. */
let gc: (() => void) | undefined;

function collect(): void {
  if (!gc) {
    setFlagsFromString("--expose-gc");
    gc = runInNewContext("gc") as () => void;
  }
  gc();
}
