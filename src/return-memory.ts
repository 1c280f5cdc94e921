import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const afterMs = 3000;
const worthBytes = 48 * 1024 * 1024;

/**
 * Gives the memory of a large first load back: what was read and is not needed any more would otherwise stay for half a
 * minute or longer, because an idle V8 collects nothing. Once, some seconds after the start, and only where it is worth
 * the pause (about 1 ms for each MB).
 */
export function returnMemoryOfStart(signal: AbortSignal): void {
  const timer = setTimeout(() => {
    if (process.memoryUsage().heapUsed < worthBytes) return;
    setFlagsFromString("--expose-gc");
    runInNewContext("gc")();
  }, afterMs);
  timer.unref();
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
}
