import { status } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import { getOrCreate } from "../get-or-create.ts";
import { jsonPage, type Pages, readyPage, servePages } from "../http-server.ts";
import { configz } from "../istio/configz.ts";
import type { Log } from "../log.ts";
import { type Diagnostic, formatDiagnostic } from "../resource/diagnostic.ts";
import { placeDiagnostics } from "../resource/place-diagnostics.ts";
import type { SourceState } from "../resource/source-state.ts";
import { explainNotSynced, type SourceStatus } from "../resource/source-status.ts";
import { keepSpecAsText } from "../resource/spec-text.ts";
import { refKey } from "../resource/types.ts";
import { returnMemoryOfStart } from "../return-memory.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { listenSecurely, type SecurePort } from "../xds/listen-securely.ts";
import { addServerMetrics } from "../xds/metrics.ts";
import { createXdsServer, type Identity } from "../xds/server.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { StreamRefusal } from "../xds/stream-refusal.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { type Conversion, convertResources, emptyConversion } from "./convert-resources.ts";
import { mcpSnapshot } from "./mcp-snapshot.ts";
import { addSourceMetrics } from "./source-metrics.ts";
import { createPluginStatuses, type PluginStatuses } from "./status/plugin-statuses.ts";
import { type KnownReports, notFollowing, notHeardYet } from "./status/report-table.ts";

export interface CoreOptions {
  readonly source: Watchable<SourceState>;
  /** How the source is doing, where it is not on this machine. */
  readonly sourceStatus?: () => SourceStatus;
  /** What discoveries say of plugins; nothing unless given. */
  readonly reports?: Watchable<KnownReports>;
  readonly convert: ConvertOptions;
  readonly bind: string;
  /** Ports 8888 and 15051; 0 for any free ones. */
  readonly httpPort: number;
  readonly xdsPort: number;
  /** Where the plaintext port 15051 listens; `bind` unless given. */
  readonly xdsBind?: string;
  /** Port 15052: MCP for discoveries on other machines, which prove that they are of the system namespace. */
  readonly secure?: SecurePort | undefined;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What core has made of its source, and how its users may see it. */
export interface CoreState {
  readonly conversion: Conversion;
  /** What it was made from. */
  readonly source: SourceState;
  /** Everything there is to say about what users wrote, with positions as of now. */
  readonly diagnostics: () => readonly Diagnostic[];
}

export interface Core {
  readonly httpPort: number;
  readonly xdsPort: number;
  readonly state: Watchable<CoreState>;
  readonly reports: Watchable<KnownReports>;
  /** What there is to say of each plugin now. */
  readonly statuses: () => PluginStatuses;
  /** What `/metrics` shows. */
  readonly metrics: Registry;
}

/** The core role: what users wrote, converted and served as MCP over xDS. In the place of Higress' controller. */
export async function startCore({
  source,
  sourceStatus,
  reports = createWatchable(notFollowing),
  convert,
  bind,
  httpPort,
  xdsPort,
  xdsBind,
  secure,
  log,
  signal,
}: CoreOptions): Promise<Core> {
  const state = createWatchable<CoreState>();
  const snapshot = createWatchable<Snapshot>();
  let logged: ReadonlySet<string> = new Set();
  source.watch((read) => {
    const { set } = read;
    const conversion = convertResources(set, convert, state.value?.conversion ?? emptyConversion);
    // The gateways first: people can wait for the words.
    snapshot.set(mcpSnapshot(conversion.config));
    const diagnostics = () => [...read.diagnostics, ...placeDiagnostics(conversion.diagnostics, set)];
    logged = logNew(diagnostics(), logged, log);
    state.set({ conversion, source: read, diagnostics });
    for (const plugin of set.wasmPlugins) keepSpecAsText(plugin);
  }, signal);

  const computeStatuses = createPluginStatuses();
  const statuses = () =>
    state.value ? computeStatuses(state.value, reports.value ?? notHeardYet) : new Map<string, never>();
  const xds = createXdsServer({
    snapshotFor(_, { identity }) {
      if (identity) checkIsOurs(identity, convert.systemNamespace);
      return snapshot;
    },
    log,
  });
  const metrics = new Registry();
  addServerMetrics(metrics, xds);
  if (sourceStatus) addSourceMetrics(metrics, sourceStatus);
  const [boundHttp, boundXds] = await Promise.all([
    servePages({ bind, port: httpPort, pages: pages(state, metrics, statuses, sourceStatus), signal }),
    listenXds(xds, xdsBind ?? bind, xdsPort, signal),
    secure && listenSecurely(xds, secure, { log, signal }),
  ]);
  returnMemoryOfStart(signal);
  log.info({ http: boundHttp, mcp: boundXds }, "core is up");
  return { httpPort: boundHttp, xdsPort: boundXds, state, reports, statuses, metrics };
}

/** MCP holds every Secret that is referred to. */
function checkIsOurs({ namespace, serviceAccount }: Identity, systemNamespace: string): void {
  if (namespace === systemNamespace) return;
  throw new StreamRefusal(
    status.PERMISSION_DENIED,
    `core is for discoveries of the namespace ${systemNamespace}, the token is of ${namespace}/${serviceAccount}`,
  );
}

function pages(
  state: Watchable<CoreState>,
  metrics: Registry,
  statuses: () => PluginStatuses,
  sourceStatus: (() => SourceStatus) | undefined,
): Pages {
  return {
    "/ready": () => readyPage(state.value !== undefined, explainNotSynced(sourceStatus?.())),
    "/debug/configz": (query) => ({
      type: "application/json",
      body: configz((state.value?.conversion ?? emptyConversion).config, query.has("pretty")),
    }),
    "/api/status": () => jsonPage(statusOf(state.value, statuses(), sourceStatus?.())),
    "/metrics": async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
  };
}

function statusOf(state: CoreState | undefined, statuses: PluginStatuses, source: SourceStatus | undefined) {
  const outcomes = new Map(state?.conversion.plugins.map((plugin) => [refKey({ kind, ...plugin }), plugin]));
  return {
    ready: state !== undefined,
    source,
    plugins: [...statuses].map(([key, { ref, server, conditions, gateways, digest }]) => ({
      ...(outcomes.get(key) ?? { ...ref, state: "rejected", lastGood: false }),
      generation: server?.generation,
      conditions,
      gateways,
      module: digest,
    })),
    diagnostics: state?.diagnostics() ?? [],
  };
}

const kind = "WasmPlugin";

/** Logs what was not logged the last time, and gives back all of it. */
function logNew(
  diagnostics: readonly Diagnostic[],
  logged: ReadonlySet<string>,
  log: Log,
): ReadonlySet<string> {
  const texts = new Set<string>();
  for (const diagnostic of diagnostics) {
    const text = getOrCreate(formatted, diagnostic, () => formatDiagnostic(diagnostic));
    texts.add(text);
    if (logged.has(text)) continue;
    if (diagnostic.severity === "error") log.error({}, text);
    else log.warn({}, text);
  }
  return texts;
}

const formatted = new WeakMap<Diagnostic, string>();
