import type { Command } from "commander";
import { buildPlugin } from "../plugin/build-plugin.ts";
import { stopSignal } from "./options.ts";
import { formatBytes } from "./plugin-inspect.ts";

export function addPluginBuildCommand(plugin: Command): void {
  plugin
    .command("build")
    .description("compile a plugin, check its module and pack its image; prints the image's digest")
    .argument("[dir]", "the plugin's folder", ".")
    .action(build);
}

async function build(directory: string): Promise<void> {
  const signal = stopSignal();
  const { toolchain, module, report, image, layout, digest, warnings } = await buildPlugin(directory, {
    signal,
  });
  for (const warning of warnings) console.error(warning);
  console.error(`${module}: ${formatBytes(report.bytes)}, ABI ${report.abi.join(", ")}, by ${toolchain}`);
  console.error(`${layout}: image ${image}`);
  console.log(digest);
}
