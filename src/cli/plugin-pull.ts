import type { Command } from "commander";
import { mirrored } from "../oci/mirrors.ts";
import { pullImage } from "../oci/pull-image.ts";
import { chooseLayer, pullModule } from "../oci/pull-module.ts";
import { formatReference, parseReference, type Reference } from "../oci/reference.ts";
import { createRegistryClient, type RegistryClient } from "../oci/registry-client.ts";
import { writeFileAtomically } from "../oci/write-file.ts";
import { SystemError } from "../system-error.ts";
import { addOption, collect, pair, stopSignal } from "./options.ts";
import { createProgress, type Progress } from "./progress.ts";
import { addConnectionOptions, type ConnectionFlags, connectionOptions } from "./registry-access.ts";

interface PullFlags extends ConnectionFlags {
  readonly output: string;
  readonly registryMirror: readonly string[] | undefined;
}

const maxModuleBytes = 256 << 20;

export function addPluginPullCommand(plugin: Command): void {
  const command = plugin
    .command("pull")
    .description("pull a plugin from a registry; prints its digest")
    .argument("<reference>", "[registry/]repository[:tag][@digest]")
    .option(
      "-o, --output <path>",
      "a file NAME.wasm for the module, or a folder for the image, as a layout",
      "plugin.wasm",
    );
  addConnectionOptions(command);
  addOption(
    command,
    "--registry-mirror <from=to>",
    "pull from another registry than the image says; may be repeated",
    (option) => option.argParser(collect),
  );
  command.action(pull);
}

async function pull(text: string, flags: PullFlags): Promise<void> {
  const signal = stopSignal();
  const mirrors = new Map((flags.registryMirror ?? []).map(pair).map(({ key, value }) => [key, value]));
  const reference = parseReference(mirrored(text, mirrors));
  const bar = createProgress(process.stderr);
  const client = createRegistryClient({
    ...(await connectionOptions(flags)),
    maxBlobBytes: maxModuleBytes,
    onReceived: bar.add,
  });
  const fetch = flags.output.endsWith(".wasm") ? pullFile : pullLayout;
  const digest = await fetch(client, reference, flags.output, bar, signal);
  console.error(`${flags.output} has ${formatReference(reference)}`);
  console.log(digest);
}

type Pull = (
  client: RegistryClient,
  reference: Reference,
  output: string,
  bar: Progress,
  signal: AbortSignal,
) => Promise<string>;

const pullFile: Pull = async (client, reference, output, bar, signal) => {
  const image = await client.resolve(reference, { signal });
  bar.start(chooseLayer(image.manifest, formatReference(reference)));
  const bytes = await pullModule(client, reference, image, { signal, maxBytes: maxModuleBytes });
  bar.end("pulled");
  await writeFileAtomically(output, bytes).catch((error) => {
    throw SystemError.from(error, "disk", `writing ${output}`);
  });
  return image.digest;
};

const pullLayout: Pull = async (client, reference, output, bar, signal) => {
  const onBlob = bar.start;
  const onBlobEnd = () => bar.end("pulled");
  return (await pullImage(client, reference, output, { signal, onBlob, onBlobEnd })).digest;
};
