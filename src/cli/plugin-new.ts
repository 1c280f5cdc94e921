import { relative } from "node:path";
import { type Command, Option } from "commander";
import { newPlugin } from "../plugin/new-plugin.ts";
import { type PluginLanguage, pluginLanguages } from "../plugin/plugin-source.ts";

interface NewFlags {
  readonly language: PluginLanguage;
  readonly dir: string | undefined;
}

export function addPluginNewCommand(plugin: Command): void {
  plugin
    .command("new")
    .description("make a plugin's folder, which builds and passes its tests as it is")
    .argument("<name>", "of the plugin, its image and its resource: lower case letters, digits, dashes")
    .addOption(
      new Option("-l, --language <language>", "what it is written in")
        .choices([...pluginLanguages])
        .default("assemblyscript"),
    )
    .option("--dir <path>", "the folder; named like the plugin unless given")
    .action(make);
}

async function make(name: string, { language, dir }: NewFlags): Promise<void> {
  const directory = dir ?? name;
  const files = await newPlugin({ name, language, directory });
  const folder = relative(".", directory) || ".";
  console.error(`${folder} has ${files.join(", ")}\nnext: wasmline plugin build ${folder}`);
  console.log(folder);
}
