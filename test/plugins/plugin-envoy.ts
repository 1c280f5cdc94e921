import type { RequestMessage, ResponseMessage } from "../guests/case-file.ts";
import type { Received } from "../guests/case-result.ts";
import { type Sent, send } from "../guests/envoy/client.ts";
import { cluster } from "../guests/envoy/config.ts";
import { type Envoy, startEnvoy } from "../guests/envoy/envoy.ts";
import { answerWith, startUpstream } from "../guests/envoy/upstreams.ts";
import { withoutProxyHeaders } from "../guests/proxy-headers.ts";
import { until } from "../peers/until.ts";
import { type PluginListener, pluginListener, routeHeader } from "./plugin-listener.ts";

/** What became of a request behind a plugin in Envoy. */
export interface Exchange {
  /** What the upstream got; left out: nothing. */
  readonly request?: Received;
  /** What the client got; left out: the stream was cut. */
  readonly response?: Received;
  /** Why the stream ended, as Envoy names it (`%RESPONSE_CODE_DETAILS%`). */
  readonly details: string;
}

/** A real Envoy with plugins in many configurations side by side, before one scripted upstream. */
export interface PluginEnvoy {
  /** The ports of the listeners that Envoy took. */
  readonly ports: ReadonlyMap<string, number>;
  /** What the client gets; requests may run side by side. */
  ask(port: number, route: number, request: RequestMessage): Promise<Sent | undefined>;
  /** Runs one exchange; one after the other, for there is one upstream. */
  exchange(at: ServedRoute, request: RequestMessage, response?: ResponseMessage): Promise<Exchange>;
  /**
   * Gives a listener's plugin another configuration. Resolves when it is in effect, or with the reason for which Envoy
   * refused it and stays with the old one.
   */
  reconfigure(id: string, configuration: string): Promise<string | undefined>;
  /** What plugins and Envoy wrote of them since the last exchange. */
  wasmLog(): readonly string[];
  close(): Promise<void>;
}

/** A route of a listener that is served. */
export interface ServedRoute {
  readonly id: string;
  readonly port: number;
  readonly route: number;
}

const startMs = 20_000;
const untouched = { flushed: async () => {}, cancelled: new Promise<void>(() => {}) };

/** Starts Envoy with these listeners, and the upstream that every cluster leads to. */
export async function startPluginEnvoy(listeners: readonly PluginListener[]): Promise<PluginEnvoy> {
  const envoy = await startEnvoy();
  let response: ResponseMessage | undefined;
  const upstream = await startUpstream("upstream", () => answerWith(response, untouched.flushed));
  await addClusters(envoy, listeners, upstream.port);
  const current = new Map(listeners.map((each) => [each.id, each]));
  const setListeners = () => envoy.setListeners([...current.values()].map(pluginListener));
  await setListeners();
  const ports = await until("Envoy having the listeners", () => portsOf(envoy, listeners), startMs);
  const ask: PluginEnvoy["ask"] = (port, route, request) => {
    const headers = [...request.headers, [routeHeader, String(route)] as const];
    return send({ port, request: { ...request, headers }, ...untouched });
  };
  return {
    ports,
    ask,
    async exchange({ id, port, route }, request, answer) {
      response = answer;
      upstream.take();
      envoy.clearLog();
      const sent = await ask(port, route, request);
      const details = await until("the end of the stream", () => endOf(envoy, id));
      const [arrived] = upstream.take();
      const named = new Set(request.headers.map(([name]) => name.toLowerCase()));
      return {
        ...(arrived ? { request: withoutRoute(withoutProxyHeaders(arrived, named)) } : {}),
        ...(sent ? { response: withoutProxyHeaders(sent.received) } : {}),
        details,
      };
    },
    async reconfigure(id, configuration) {
      current.set(id, { ...current.get(id)!, configuration });
      await setListeners();
      const { refused } = await until("an answer to the configuration", () =>
        answerTo(envoy, id, configuration),
      );
      return refused;
    },
    wasmLog: () =>
      envoy
        .log()
        .filter(({ component }) => component === "wasm")
        .map(({ text }) => text),
    async close() {
      await envoy.close();
      await upstream.close();
    },
  };
}

async function addClusters(envoy: Envoy, listeners: readonly PluginListener[], port: number): Promise<void> {
  const routes = listeners.flatMap((each) => each.routes);
  const names = [...new Set(routes.flatMap((each) => each.cluster ?? []))];
  await envoy.setClusters(names.map((name) => cluster(name, port)));
  await until("Envoy having the clusters", async () => {
    const text = await envoy.adminText("/clusters");
    return names.every((name) => text.includes(`${name}::observability_name`));
  });
}

/** Why the one stream that was logged has ended. */
function endOf(envoy: Envoy, id: string): string | undefined {
  const line = envoy.log().find(({ text }) => text.startsWith(`ACCESS ${id} `));
  return line?.text.split(" ")[2];
}

function withoutRoute(received: Received): Received {
  return { ...received, headers: received.headers.filter(([name]) => name !== routeHeader) };
}

interface ListenerDump {
  readonly configs?: readonly {
    readonly name?: string;
    readonly active_state?: object;
    readonly error_state?: { readonly details: string };
  }[];
}

/** Whether a configuration is in effect, or why not; undefined as long as Envoy has not said. */
async function answerTo(
  envoy: Envoy,
  id: string,
  configuration: string,
): Promise<{ readonly refused?: string } | undefined> {
  const { configs = [] } = await envoy.admin<ListenerDump>("/config_dump?resource=dynamic_listeners");
  const has = (state: object | undefined) => JSON.stringify(state)?.includes(JSON.stringify(configuration));
  const ours = configs.filter(({ name, error_state }) => name === id || error_state);
  if (ours.some(({ active_state }) => has(active_state))) return {};
  const failed = ours.find(({ error_state }) => has(error_state))?.error_state;
  return failed && { refused: failed.details };
}

interface ListenerStatuses {
  readonly listener_statuses?: readonly {
    readonly name: string;
    readonly local_address: { readonly socket_address: { readonly port_value: number } };
  }[];
}

/** Ports by listener once Envoy has taken or refused each of them. */
async function portsOf(
  envoy: Envoy,
  listeners: readonly PluginListener[],
): Promise<ReadonlyMap<string, number> | undefined> {
  const { configs = [] } = await envoy.admin<ListenerDump>("/config_dump?resource=dynamic_listeners");
  // Refused ones are there twice, once without a name.
  const settled = new Set(
    configs.filter((each) => each.active_state || each.error_state).map(({ name }) => name),
  );
  if (!listeners.every(({ id }) => settled.has(id))) return undefined;
  const { listener_statuses = [] } = await envoy.admin<ListenerStatuses>("/listeners?format=json");
  const ports = new Map(
    listener_statuses.map(({ name, local_address }) => [name, local_address.socket_address.port_value]),
  );
  const active = configs.flatMap(({ name, active_state }) => (name && active_state ? [name] : []));
  return active.every((name) => ports.get(name)) ? ports : undefined;
}
