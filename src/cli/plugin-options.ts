import type { Command } from "commander";
import type { RegistryClientOptions } from "../oci/registry-client.ts";
import { addOption, collect, integer } from "./options.ts";

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

export interface RegistryFlags {
  readonly insecureRegistry: readonly string[] | undefined;
}

/** What pulling images needs to know. */
export function addInsecureRegistry(command: Command): void {
  addOption(
    command,
    "--insecure-registry <host>",
    "a registry that is spoken to without TLS; may be repeated",
    (option) => option.argParser(collect),
  );
}

export function registryOptions({ insecureRegistry = [] }: RegistryFlags): RegistryClientOptions {
  return { insecureRegistries: insecureRegistry };
}
