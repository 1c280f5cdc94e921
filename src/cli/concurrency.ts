import type { Command } from "commander";
import { canSharePorts, defaultConcurrency } from "../gateway/concurrency.ts";
import type { Log } from "../log.ts";
import { addOption, integer } from "./options.ts";

export interface ConcurrencyFlags {
  readonly concurrency: number | undefined;
}

/** How many threads serve a gateway's traffic, by Envoy's word for it. */
export function addConcurrency(command: Command): void {
  addOption(
    command,
    "--concurrency <n>",
    "threads that serve traffic; unless given 2 for Envoy, and for the embedded gateway half of the processors, " +
      "4 at the most, and 1 where Node is older than 22.12",
    (option) => option.argParser(integer(1, 1024)),
  );
}

/** The threads of the embedded gateway. Says so where there will be fewer than were asked for. */
export function concurrencyOf({ concurrency = defaultConcurrency() }: ConcurrencyFlags, log: Log): number {
  if (canSharePorts || concurrency === 1) return concurrency;
  log.warn(
    { asked: concurrency, node: process.versions.node },
    "one thread serves traffic: several can share a port from Node 22.12 on",
  );
  return 1;
}
