import { setTimeout as sleep } from "node:timers/promises";
import type { KubernetesClient } from "../../kubernetes/client.ts";
import type { Log } from "../../log.ts";
import { errorText } from "../../system-error.ts";
import { coalesce, type Watchable } from "../../watchable.ts";
import { backoffMs } from "../../xds/client.ts";
import type { Core } from "../core.ts";
import { createPluginStatuses } from "./plugin-statuses.ts";
import { addStatusMetrics } from "./status-metrics.ts";
import { createStatusWriter, type StatusWriter, type StatusWriterOptions } from "./write-statuses.ts";

export interface LeadStatusesOptions {
  readonly core: Pick<Core, "state" | "reports" | "metrics">;
  readonly client: KubernetesClient;
  readonly isLeader: Watchable<boolean>;
  /** The namespaces of the plugins that have a status; undefined among them stands for all. */
  readonly namespaces: readonly (string | undefined)[];
  /** Whose plugins take effect here. */
  readonly systemNamespace: string;
  /** Names this core in events. */
  readonly instance: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What comes together within this time is looked at once: gateways get an edit before its status is thought of. */
const lookMs = 100;

/** Writes the plugins' statuses into the cluster while this core leads. */
export function leadStatuses({ isLeader, signal, ...others }: LeadStatusesOptions): void {
  const { countWrite: onWrite } = addStatusMetrics(others.core.metrics, () => isLeader.value === true);
  const options = { ...others, onWrite };
  let term = new AbortController();
  isLeader.watch((leads) => {
    term.abort();
    if (!leads || signal.aborted) return;
    term = new AbortController();
    void serveTerm(options, AbortSignal.any([signal, term.signal]));
  });
  signal.addEventListener("abort", () => term.abort(), { once: true });
}

type Term = Omit<LeadStatusesOptions, "isLeader" | "signal"> & Pick<StatusWriterOptions, "onWrite">;

async function serveTerm(options: Term, signal: AbortSignal): Promise<void> {
  const writer = await openWriter(options, signal);
  if (!writer) return;
  const { state, reports } = options.core;
  const table = createPluginStatuses();
  const look = coalesce(async () => {
    await sleep(lookMs, undefined, { signal }).catch(() => {});
    // What discoveries say is waited for: else the first word would be that there is none.
    if (signal.aborted || !state.value || !reports.value) return;
    const changed = table.update(state.value, reports.value);
    writer.write(table.statuses, changed);
  });
  state.watch(look, signal);
  reports.watch(look, signal);
}

async function openWriter(options: Term, signal: AbortSignal): Promise<StatusWriter | undefined> {
  for (let failures = 0; !signal.aborted; failures++) {
    try {
      return await createStatusWriter({ ...options, signal });
    } catch (error) {
      if (signal.aborted) break;
      options.log.warn({ error: errorText(error) }, "cannot read the statuses of WasmPlugins");
      await sleep(backoffMs(failures) * 10, undefined, { signal }).catch(() => {});
    }
  }
  return undefined;
}
