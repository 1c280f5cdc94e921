import { availableParallelism } from "node:os";

const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);

/** Whether several threads can listen at one port: Node's `reusePort`, since 22.12. */
export const canSharePorts = major > 22 || (major === 22 && minor >= 12);

/** Each worker has all plugins, and their memory; more of them is a decision for who knows the machine. */
const mostByDefault = 4;

/** How many threads serve traffic where nobody said it. */
export function defaultConcurrency(): number {
  return canSharePorts ? Math.min(availableParallelism(), mostByDefault) : 1;
}
