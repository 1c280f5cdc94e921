import type { Command } from "commander";
import { pushImage } from "../oci/push-image.ts";
import { formatReference, parseReference } from "../oci/reference.ts";
import { findImageToPush } from "../plugin/image-to-push.ts";
import { integer, stopSignal } from "./options.ts";
import { createProgress } from "./progress.ts";
import { addConnectionOptions, type ConnectionFlags, connectionOptions } from "./registry-access.ts";

interface PushFlags extends ConnectionFlags {
  readonly image: string | undefined;
  readonly mountFrom: string | undefined;
  readonly chunkBytes: number | undefined;
}

export function addPluginPushCommand(plugin: Command): void {
  const command = plugin
    .command("push")
    .description("push a plugin's image to a registry; prints its digest")
    .argument("<path>", "a plugin's folder that was built, or an OCI image layout")
    .argument("<reference>", "[registry/]repository[:tag]")
    .option("--image <name>", "of a layout with several images: which one, as its index.json names it")
    .option("--mount-from <repository>", "a repository of the registry that may have the same layers already")
    .option(
      "--chunk-bytes <n>",
      "how much is sent in one request at most; 16 MiB unless given",
      integer(1, 2 ** 40),
    );
  addConnectionOptions(command);
  command.action(push);
}

async function push(path: string, text: string, flags: PushFlags): Promise<void> {
  const signal = stopSignal();
  const reference = parseReference(text);
  const image = await findImageToPush(path, flags.image);
  const bar = createProgress(process.stderr);
  const { digest, isNew } = await pushImage(await connectionOptions(flags), image, reference, {
    mountFrom: flags.mountFrom,
    chunkBytes: flags.chunkBytes,
    progress: {
      onStart: bar.start,
      onSent: (_, bytes) => bar.add(bytes),
      onEnd: (_, outcome) => bar.end(outcome),
    },
    signal,
  });
  console.error(`${formatReference(reference)} ${isNew ? "is pushed" : "was there already"}`);
  console.log(digest);
}
