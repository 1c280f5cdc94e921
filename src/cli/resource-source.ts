import type { Command } from "commander";
import type { ConvertOptions } from "../core/convert-options.ts";
import { referencedSecrets } from "../core/referenced-secrets.ts";
import type { Log } from "../log.ts";
import { watchDirectory } from "../resource/directory-source.ts";
import type { SourceState } from "../resource/source-state.ts";
import type { SourceStatus } from "../resource/source-status.ts";
import type { Watchable } from "../watchable.ts";
import {
  addKubernetesAccessOptions,
  connectByFlags,
  type KubernetesAccessFlags,
} from "./kubernetes-access.ts";
import { addOption } from "./options.ts";

type SourceKind = "files" | "kubernetes";

/** Where resources come from. */
export interface SourceFlags extends KubernetesAccessFlags {
  readonly source: SourceKind;
  readonly file: readonly string[] | undefined;
  readonly watchNamespace: string | undefined;
}

export function addSourceOptions(command: Command): void {
  addOption(command, "--source <which>", "where resources come from", (option) =>
    option.default("files").choices(["files", "kubernetes"] satisfies SourceKind[]),
  );
  addOption(
    command,
    "--watch-namespace <name>",
    "of a cluster, the only namespace whose Ingresses, Services and EndpointSlices count",
  );
  addKubernetesAccessOptions(command);
  command.hook("preAction", (called) => {
    const { source, file } = called.opts<SourceFlags>();
    if (source === "kubernetes" && file)
      called.error("error: -f is for --source files; leave one of them out");
  });
}

/** A source, and how it is doing where it is not on this machine. */
export interface StartedSource {
  readonly source: Watchable<SourceState>;
  readonly sourceStatus?: () => SourceStatus;
}

/** Starts the source that the flags name. One of files has its first state by then, one of a cluster later. */
export async function startSource(
  flags: SourceFlags,
  convert: ConvertOptions,
  log: Log,
  signal: AbortSignal,
): Promise<StartedSource> {
  const { systemNamespace } = convert;
  if (flags.source === "files") {
    const paths = flags.file ?? ["."];
    return { source: await watchDirectory(paths, { defaultNamespace: systemNamespace, signal, log }) };
  }
  // Loaded only here: who reads files needs none of it.
  const { watchKubernetes } = await import("../resource/kubernetes-source.ts");
  const source = await watchKubernetes({
    client: await connectByFlags(flags),
    secretsOf: (resource) => referencedSecrets(resource, convert),
    systemNamespace,
    watchNamespace: flags.watchNamespace,
    signal,
    log,
  });
  return { source, sourceStatus: () => source.status() };
}
