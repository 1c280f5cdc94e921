#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ResourceError } from "../resource/diagnostic.ts";
import { errorText, SystemError } from "../system-error.ts";
import { addAgentCommand } from "./agent.ts";
import { addCoreCommand } from "./core.ts";
import { addDiscoveryCommand } from "./discovery.ts";
import { addInstallCommand } from "./install.ts";
import { addRegistryCommand } from "./registry.ts";
import { addTranslateCommand } from "./translate.ts";
import { addUpCommand } from "./up.ts";

const program = new Command("wasmline")
  .description("make Wasm plugins take effect in API gateways")
  .showHelpAfterError("(--help shows what there is)")
  .exitOverride();

for (const addCommand of [
  addUpCommand,
  addCoreCommand,
  addDiscoveryCommand,
  addAgentCommand,
  addRegistryCommand,
  addTranslateCommand,
  addInstallCommand,
]) {
  addCommand(program);
}
// Exit status 2 says that the call itself is wrong.
for (const command of program.commands) command.exitOverride().configureOutput({});

try {
  await program.parseAsync();
} catch (error) {
  // What a role has opened before it failed would keep the program running.
  process.exit(exitStatus(error));
}

function exitStatus(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof ResourceError) console.error(error.message);
  else if (error instanceof SystemError) console.error(`error ${error.code}: ${error.message}`);
  else console.error(error instanceof Error ? (error.stack ?? errorText(error)) : errorText(error));
  return 1;
}
