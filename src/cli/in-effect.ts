import type { Core } from "../core/core.ts";
import type { Discovery } from "../discovery/discovery.ts";
import { extensionConfigName } from "../discovery/extension-configs.ts";
import { resourceStates } from "../xds/resource-states.ts";
import type { SubscriptionStatus } from "../xds/subscription.ts";
import { typeUrls } from "../xds/type-urls.ts";

export interface InEffectOptions {
  readonly core: Core;
  readonly discovery: Discovery;
  readonly listening: ListeningUrls;
  readonly signal: AbortSignal;
}

/** Gives the addresses that a gateway listens on, once all listeners of these names accept connections. */
export type ListeningUrls = (names: readonly string[]) => Promise<readonly string[] | undefined>;

const pollMs = 20;

/**
 * Waits until the gateway serves traffic and each plugin that core accepted is in effect there, or is known not to be
 * and was reported. Resolves with the line that says so, or undefined when the signal aborts first.
 */
export async function waitInEffect({
  core,
  discovery,
  listening,
  signal,
}: InEffectOptions): Promise<string | undefined> {
  while (!signal.aborted) {
    const plugins = core.state.value?.conversion.config.WasmPlugin.map(extensionConfigName) ?? [];
    const subscriptions = discovery.server.clients()[0]?.subscriptions ?? [];
    const settled = settle(plugins, subscriptions);
    const urls = settled && (await listening(settled.listeners));
    if (settled && urls) return readyLine(urls, plugins.length, settled.rejected);
    await new Promise((resolve) => setTimeout(resolve, pollMs));
  }
  return undefined;
}

interface Settled {
  readonly listeners: readonly string[];
  readonly rejected: readonly string[];
}

/** What the gateway has answered, once it has answered everything that it was sent. */
function settle(
  plugins: readonly string[],
  subscriptions: readonly SubscriptionStatus[],
): Settled | undefined {
  const of = (typeUrl: string) => subscriptions.find((subscription) => subscription.typeUrl === typeUrl);
  const lds = of(typeUrls.listener);
  if (!lds?.synced || subscriptions.some(({ pending }) => pending.size > 0)) return undefined;
  const listeners = [...lds.synced.resources.keys()];
  if (listeners.length === 0 || plugins.length === 0) return { listeners, rejected: [] };
  const ecds = of(typeUrls.extensionConfig);
  const states = new Map(ecds && resourceStates(ecds).map(({ name, state }) => [name, state]));
  if (!plugins.every((name) => states.has(name))) return undefined;
  return { listeners, rejected: plugins.filter((name) => states.get(name) === "ERROR") };
}

function readyLine(urls: readonly string[], plugins: number, rejected: readonly string[]): string {
  if (urls.length === 0) return "ready (no Ingress yet, so nothing is listening)";
  const state =
    rejected.length === 0
      ? `${plugins} plugin${plugins === 1 ? "" : "s"} in effect`
      : `${plugins - rejected.length} of ${plugins} plugins in effect, not ${rejected.join(", ")}`;
  return `ready ${urls.join(" ")} ${state}`;
}
