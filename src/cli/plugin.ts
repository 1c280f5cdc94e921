import type { Command } from "commander";
import { addPluginBenchCommand } from "./plugin-bench.ts";
import { addPluginBuildCommand } from "./plugin-build.ts";
import { addPluginInspectCommand } from "./plugin-inspect.ts";
import { addPluginNewCommand } from "./plugin-new.ts";
import { addPluginPullCommand } from "./plugin-pull.ts";
import { addPluginPushCommand } from "./plugin-push.ts";
import { addPluginRecordCommand } from "./plugin-record.ts";
import { addPluginTestCommand } from "./plugin-test.ts";
import { addPluginTraceCommand } from "./plugin-trace.ts";

/** The tools for those who write plugins. */
export function addPluginCommand(program: Command): void {
  const command = program
    .command("plugin")
    .description("make, test, publish, look into, measure and trace plugins");
  // Who reads the beginning of a trace and no more is no fault of ours.
  command.hook("preAction", () => {
    process.stdout.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EPIPE") process.exit();
      throw error;
    });
  });
  addPluginNewCommand(command);
  addPluginBuildCommand(command);
  addPluginTestCommand(command);
  addPluginRecordCommand(command);
  addPluginPushCommand(command);
  addPluginPullCommand(command);
  addPluginInspectCommand(command);
  addPluginBenchCommand(command);
  addPluginTraceCommand(command);
}
