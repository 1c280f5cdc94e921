import { type AdminAddress, adminGet, ready } from "../agent/envoy-admin.ts";
import type { Core } from "../core/core.ts";
import type { Discovery } from "../discovery/discovery.ts";
import { extensionConfigName } from "../discovery/extension-configs.ts";
import { resourceStates } from "../xds/resource-states.ts";
import type { SubscriptionStatus } from "../xds/subscription.ts";
import { typeUrls } from "../xds/type-urls.ts";

export interface InEffectOptions {
  readonly core: Core;
  readonly discovery: Discovery;
  readonly admin: AdminAddress;
  readonly signal: AbortSignal;
}

const pollMs = 20;

/**
 * Waits until the gateway serves traffic and each plugin that core accepted is in effect there, or is known not to be
 * and was reported. Resolves with the line that says so, or undefined when the signal aborts first.
 */
export async function waitInEffect({
  core,
  discovery,
  admin,
  signal,
}: InEffectOptions): Promise<string | undefined> {
  while (!signal.aborted) {
    const plugins = core.state.value?.conversion.config.WasmPlugin.map(extensionConfigName) ?? [];
    const subscriptions = discovery.server.clients()[0]?.subscriptions ?? [];
    const settled = settle(plugins, subscriptions);
    const urls = settled && (await listeningUrls(admin, settled.listeners));
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

/** The addresses that Envoy listens on, once all listeners are active. */
async function listeningUrls(
  admin: AdminAddress,
  names: readonly string[],
): Promise<readonly string[] | undefined> {
  if (!(await ready(admin))) return undefined;
  const { listener_statuses: active = [] } = JSON.parse(
    await adminGet(admin, "/listeners?format=json"),
  ) as Listeners;
  if (!names.every((name) => active.some((listener) => listener.name === name))) return undefined;
  return active.map(
    ({ local_address: { socket_address: socket } }) => `${socket.address}:${socket.port_value}`,
  );
}

interface Listeners {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: {
      readonly socket_address: { readonly address: string; readonly port_value: number };
    };
  }[];
}

function readyLine(urls: readonly string[], plugins: number, rejected: readonly string[]): string {
  if (urls.length === 0) return "ready (no Ingress yet, so nothing is listening)";
  const state =
    rejected.length === 0
      ? `${plugins} plugin${plugins === 1 ? "" : "s"} in effect`
      : `${plugins - rejected.length} of ${plugins} plugins in effect, not ${rejected.join(", ")}`;
  return `ready ${urls.join(" ")} ${state}`;
}
