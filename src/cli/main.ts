#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ResourceError } from "../resource/diagnostic.ts";
import { errorText, SystemError } from "../system-error.ts";

/** Each command in a file of its own, of which only the one that is called is loaded: a role needs no other's code. */
const commands: Readonly<Record<string, () => Promise<(program: Command) => void>>> = {
  up: async () => (await import("./up.ts")).addUpCommand,
  dev: async () => (await import("./dev.ts")).addDevCommand,
  core: async () => (await import("./core.ts")).addCoreCommand,
  discovery: async () => (await import("./discovery.ts")).addDiscoveryCommand,
  agent: async () => (await import("./agent.ts")).addAgentCommand,
  gateway: async () => (await import("./gateway.ts")).addGatewayCommand,
  registry: async () => (await import("./registry.ts")).addRegistryCommand,
  translate: async () => (await import("./translate.ts")).addTranslateCommand,
  plugin: async () => (await import("./plugin.ts")).addPluginCommand,
  install: async () => (await import("./install.ts")).addInstallCommand,
};

const program = new Command("wasmline")
  .description("make Wasm plugins take effect in API gateways")
  .showHelpAfterError("(--help shows what there is)")
  .exitOverride();

const called = process.argv[2] ?? "";
const loaded = Object.hasOwn(commands, called) ? [commands[called]!] : Object.values(commands);
for (const load of loaded) (await load())(program);
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
