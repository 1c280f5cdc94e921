import { randomUUID } from "node:crypto";
import { hostname } from "node:os";
import { type Command, InvalidArgumentError } from "commander";
import type { Core } from "../core/core.ts";
import type { Log } from "../log.ts";
import { connectByFlags } from "./kubernetes-access.ts";
import { addOption, collect, integer } from "./options.ts";
import type { SourceFlags } from "./resource-source.ts";

/** What core says of plugins, and who says it. */
export interface StatusFlags {
  readonly discoveryStatus: readonly string[] | undefined;
  readonly writeStatus: boolean;
  readonly leaseName: string;
  readonly leaseDuration: number;
  readonly leaseRenewDeadline: number;
  readonly leaseRetryPeriod: number;
}

export function addStatusOptions(command: Command): void {
  addOption(
    command,
    "--discovery-status <url>",
    "discovery's HTTP, as http://host:15014, for what gateways acknowledge; may be repeated, and a name of several addresses is all of them",
    (option) => option.argParser(collectUrl),
  );
  addOption(
    command,
    "--no-write-status",
    "writes no status and no events to a cluster, and takes part in no election",
  );
  addOption(
    command,
    "--lease-name <name>",
    "the Lease, in the namespace of --namespace, whose holder writes the status",
    (option) => option.default("wasmline-core"),
  );
  const seconds = integer(1, 3600);
  addOption(
    command,
    "--lease-duration <seconds>",
    "how long others wait for a leader that is gone",
    (option) => option.default(15).argParser(seconds),
  );
  addOption(
    command,
    "--lease-renew-deadline <seconds>",
    "how long a leader tries to renew its Lease; less than --lease-duration",
    (option) => option.default(10).argParser(seconds),
  );
  addOption(
    command,
    "--lease-retry-period <seconds>",
    "between two renewals, and between two reads of a Lease that is not watched",
    (option) => option.default(2).argParser(seconds),
  );
  command.hook("preAction", (called) => {
    const { leaseDuration, leaseRenewDeadline, leaseRetryPeriod } = called.opts<StatusFlags>();
    if (leaseDuration <= leaseRenewDeadline || leaseRenewDeadline <= leaseRetryPeriod)
      called.error("error: --lease-duration > --lease-renew-deadline > --lease-retry-period must hold");
  });
}

function collectUrl(text: string, previous: readonly string[] | undefined): readonly string[] {
  const urls = collect(text, previous);
  for (const url of urls)
    if (!URL.canParse(url) || new URL(url).protocol !== "http:")
      throw new InvalidArgumentError("Expected http://host:port.");
  return urls;
}

/** Writes the status of a cluster's plugins while this core leads. */
export async function startStatusWriting(
  flags: StatusFlags & SourceFlags & { readonly namespace: string },
  core: Core,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (flags.source !== "kubernetes" || !flags.writeStatus) return;
  const { electLeader } = await import("../kubernetes/leader-election.ts");
  const { leadStatuses } = await import("../core/status/lead-statuses.ts");
  // Of its own, so that a storm of resources holds up no renewal.
  const client = await connectByFlags(flags);
  const { namespace, watchNamespace } = flags;
  const instance = `${hostname()}_${randomUUID()}`;
  const { isLeader } = electLeader({
    client: await connectByFlags(flags),
    namespace,
    name: flags.leaseName,
    identity: instance,
    timing: {
      leaseMs: flags.leaseDuration * 1000,
      renewMs: flags.leaseRenewDeadline * 1000,
      retryMs: flags.leaseRetryPeriod * 1000,
    },
    log,
    signal,
  });
  const namespaces = watchNamespace ? [...new Set([namespace, watchNamespace])] : [undefined];
  leadStatuses({
    ...{ core, client, isLeader, namespaces, systemNamespace: namespace, instance: hostname(), log, signal },
  });
}
