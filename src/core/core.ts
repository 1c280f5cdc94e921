import { status } from "@grpc/grpc-js";
import { Registry } from "prom-client";
import { jsonPage, type Pages, readyPage, servePages } from "../http-server.ts";
import { mapIncrementally } from "../incremental.ts";
import { configz } from "../istio/configz.ts";
import type { Log } from "../log.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import { placeDiagnostics } from "../resource/place-diagnostics.ts";
import type { SourceState } from "../resource/source-state.ts";
import { explainNotSynced, type SourceStatus } from "../resource/source-status.ts";
import { keepSpecAsText } from "../resource/spec-text.ts";
import { refKey } from "../resource/types.ts";
import { returnMemory } from "../return-memory.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { listenSecurely, type SecurePort } from "../xds/listen-securely.ts";
import { addServerMetrics } from "../xds/metrics.ts";
import { createXdsServer, type Identity } from "../xds/server.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { StreamRefusal } from "../xds/stream-refusal.ts";
import type { ConvertOptions } from "./convert-options.ts";
import { type Conversion, convertResources, emptyConversion } from "./convert-resources.ts";
import { createDiagnosticLog } from "./log-diagnostics.ts";
import { mcpSnapshot } from "./mcp-snapshot.ts";
import { addSourceMetrics } from "./source-metrics.ts";
import { createPluginStatuses } from "./status/plugin-statuses.ts";
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
  const logNew = createDiagnosticLog(log);
  const keepSpecsAsText = mapIncrementally(keepSpecAsText);
  source.watch((read) => {
    const { set } = read;
    const conversion = convertResources(set, convert, state.value?.conversion ?? emptyConversion);
    // The gateways first: people can wait for the words.
    snapshot.set(mcpSnapshot(conversion.config, snapshot.value));
    const diagnostics = () => [...read.diagnostics, ...placeDiagnostics(conversion.diagnostics, set)];
    logNew(diagnostics());
    state.set({ conversion, source: read, diagnostics });
    keepSpecsAsText(set.wasmPlugins);
  }, signal);

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
    servePages({ bind, port: httpPort, pages: pages(state, metrics, reports, sourceStatus), signal }),
    listenXds(xds, xdsBind ?? bind, xdsPort, signal),
    secure && listenSecurely(xds, secure, { log, signal }),
  ]);
  returnMemory(signal);
  log.info({ http: boundHttp, mcp: boundXds }, "core is up");
  return { httpPort: boundHttp, xdsPort: boundXds, state, reports, metrics };
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
  reports: Watchable<KnownReports>,
  sourceStatus: (() => SourceStatus) | undefined,
): Pages {
  return {
    "/ready": () => readyPage(state.value !== undefined, explainNotSynced(sourceStatus?.())),
    "/debug/configz": (query) => ({
      type: "application/json",
      body: configz((state.value?.conversion ?? emptyConversion).config, query.has("pretty")),
    }),
    "/api/status": () => jsonPage(statusOf(state.value, reports.value ?? notHeardYet, sourceStatus?.())),
    "/metrics": async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
  };
}

function statusOf(state: CoreState | undefined, reports: KnownReports, source: SourceStatus | undefined) {
  return {
    ready: state !== undefined,
    source,
    plugins: state ? pluginsOf(state, reports) : [],
    diagnostics: state?.diagnostics() ?? [],
  };
}

function pluginsOf(state: CoreState, reports: KnownReports) {
  const outcomes = new Map(
    state.conversion.plugins.map(({ status }) => [refKey({ kind, ...status }), status]),
  );
  const table = createPluginStatuses();
  table.update(state, reports);
  return [...table.statuses].map(([key, { ref, server, conditions, gateways, digest }]) => ({
    ...(outcomes.get(key) ?? { ...ref, state: "rejected", lastGood: false }),
    ...{ generation: server?.generation, conditions, gateways, module: digest },
  }));
}

const kind = "WasmPlugin";
