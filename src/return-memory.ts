import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const afterMs = 3000;
const worthBytes = 128 * 1024 * 1024;

/**
 * Gives the memory of a large first load back: what was read and is not needed any more would otherwise stay for half a
 * minute or longer, because an idle V8 collects nothing. Some seconds after the start, and only where it is worth the
 * pause (tens of ms). The second collection is the one that returns the pages that the first has emptied.
 */
export function returnMemoryOfStart(signal: AbortSignal): void {
  const timers = [afterMs, afterMs + 500].map((ms) => setTimeout(collectIfWorth, ms).unref());
  signal.addEventListener("abort", () => timers.forEach(clearTimeout), { once: true });
}

function collectIfWorth(): void {
  if (process.memoryUsage.rss() < worthBytes) return;
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
}
