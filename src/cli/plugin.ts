import type { Command } from "commander";
import { addPluginBenchCommand } from "./plugin-bench.ts";
import { addPluginInspectCommand } from "./plugin-inspect.ts";
import { addPluginTestCommand } from "./plugin-test.ts";
import { addPluginTraceCommand } from "./plugin-trace.ts";

/** The tools for those who write plugins. */
export function addPluginCommand(program: Command): void {
  const command = program.command("plugin").description("test, look into, measure and trace plugins");
  addPluginTestCommand(command);
  addPluginInspectCommand(command);
  addPluginBenchCommand(command);
  addPluginTraceCommand(command);
}
