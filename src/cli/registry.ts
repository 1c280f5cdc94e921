import type { Command } from "commander";
import { createRegistryServer } from "../oci/registry-server.ts";
import {
  addCommonOptions,
  addOption,
  addPort,
  type CommonOptions,
  collect,
  logOf,
  stopSignal,
  withOffset,
} from "./options.ts";

export interface RegistryFlags extends CommonOptions {
  readonly layout: readonly string[] | undefined;
  readonly registryPort: number;
}

export function addRegistryCommand(program: Command): void {
  const command = program.command("registry").description("serve OCI image layouts to pull from, read-only");
  addCommonOptions(command);
  addRegistryOptions(command);
  command.action(runRegistry);
}

export function addRegistryOptions(command: Command): void {
  addOption(
    command,
    "--layout <dir>",
    "an OCI image layout that the built-in registry serves; may be repeated",
    (option) => option.argParser(collect),
  );
  addPort(command, "registry-port", 5080, "the built-in registry");
}

async function runRegistry(flags: RegistryFlags): Promise<void> {
  const signal = stopSignal();
  const port = await startRegistry(flags);
  logOf(flags).info({ role: "registry", port: port.port, layouts: flags.layout ?? ["."] }, "registry is up");
  signal.addEventListener("abort", () => void port.close());
}

export function startRegistry(flags: RegistryFlags) {
  return createRegistryServer({
    layouts: flags.layout ?? ["."],
    bind: flags.bind,
    port: withOffset(flags, flags.registryPort),
  });
}
