import { setTimeout as pause } from "node:timers/promises";
import { extensionConfigName } from "../discovery/extension-configs.ts";
import { resourceStates } from "../xds/resource-states.ts";
import { partsOf } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import type { RunningSystem } from "./up.ts";

const pollMs = 10;

/**
 * Waits until the gateway runs the module at a `file://` URL in all plugins that name it, or has refused one of them.
 * Undefined when the signal aborts before.
 */
export async function waitSwapped(
  system: RunningSystem,
  url: string,
  signal: AbortSignal,
): Promise<{ readonly error: string } | undefined> {
  while (!signal.aborted) {
    const error = outcomeOf(system, url);
    if (error !== undefined) {
      // What is acknowledged is in effect at once; the threads of a gateway may still be about to.
      await system.listening([]);
      return { error };
    }
    await pause(pollMs, undefined, { signal }).catch(() => {});
  }
  return undefined;
}

/** Why one of the plugins is not in effect, "" where all are, undefined while it is not known. */
function outcomeOf({ core, discovery }: RunningSystem, url: string): string | undefined {
  const plugins = core.state.value?.conversion.config.WasmPlugin ?? [];
  const names = plugins.filter(({ spec }) => spec.url === url).map(extensionConfigName);
  if (names.length === 0) return "no WasmPlugin that is valid has it";
  const { subscriptions = [] } = discovery.server.clients()[0] ?? {};
  const status = subscriptions.find(({ typeUrl }) => typeUrl === typeUrls.extensionConfig);
  if (!status?.synced) return undefined;
  const path = Buffer.from(url.slice("file://".length));
  const sent = [...status.synced.resources.values()].flatMap(partsOf);
  const hasPath = (name: string) =>
    sent.some((part) => part.name === name && Buffer.from(part.value).includes(path));
  // A plugin that is new comes with a listener.
  if (!names.every(hasPath) || subscriptions.some(({ pending }) => pending.size > 0)) return undefined;
  const states = resourceStates(status).filter(({ name }) => names.includes(name));
  return states.map(({ error }) => error).find((error) => error !== "") ?? "";
}
