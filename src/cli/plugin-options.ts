import type { Command } from "commander";
import { integer } from "./options.ts";

export interface GuestFlags {
  readonly timeout: number;
}

/** How long a plugin may run in one piece. */
export function addGuestLimit(command: Command): void {
  command.option(
    "--timeout <ms>",
    "how long the plugin may run in one piece before its case is given up",
    integer(10, 3_600_000),
    5000,
  );
}
