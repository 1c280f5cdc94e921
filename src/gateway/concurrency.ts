import { availableParallelism } from "node:os";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

/** Whether several threads can listen at one port: Node's `reusePort`, since 22.12. */
export const canSharePorts = major > 22 || (major === 22 && minor >= 12);

/** Each thread has all plugins, and their memory; more of them is a decision for who knows the machine. */
const mostByDefault = 4;

/** How many threads serve traffic where nobody said it: half of the processors, as V8 compiles and collects beside them. */
export function defaultConcurrency(): number {
  if (!canSharePorts) return 1;
  return Math.min(Math.max(1, Math.floor(availableParallelism() / 2)), mostByDefault);
}
