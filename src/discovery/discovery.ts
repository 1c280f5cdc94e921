import { create } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { eventsPage, type Page, type Pages, readyPage, servePages } from "../http-server.ts";
import type { IstioConfigSet } from "../istio/config.ts";
import { configz } from "../istio/configz.ts";
import { followCore } from "../istio/follow-core.ts";
import type { Log } from "../log.ts";
import { returnMemoryOfStart } from "../return-memory.ts";
import { coalesce, createWatchable, firstValue, type Watchable } from "../watchable.ts";
import { type ClientTls, openClientCredentials } from "../xds/client-credentials.ts";
import { listenXds } from "../xds/listen.ts";
import { listenSecurely, type SecurePort } from "../xds/listen-securely.ts";
import { addServerMetrics } from "../xds/metrics.ts";
import { createXdsServer, type XdsServer } from "../xds/server.ts";
import { endlessLife, type StreamLife } from "../xds/stream-life.ts";
import type { BuildOptions } from "./build-snapshot.ts";
import { configDumpPage, ecdszPage, synczPage } from "./debug-pages.ts";
import { type AccessOptions, secretAccess } from "./gateway-access.ts";
import { collectReports } from "./plugin-reports.ts";
import { proxyOf } from "./proxy.ts";
import { createReportStream, type ReportStream } from "./report-stream.ts";
import { createSnapshots } from "./snapshots.ts";

export interface DiscoveryOptions {
  /** Core's MCP, as `host:port`. */
  readonly core: string;
  /** How core is trusted, and what it is shown; plaintext unless given. */
  readonly coreTls?: ClientTls | undefined;
  /** How to ask core: `incremental`, or `state-of-the-world` for Higress' own. */
  readonly mcp: "incremental" | "state-of-the-world";
  readonly build: BuildOptions;
  readonly bind: string;
  /** Ports 15010 and 15014; 0 for any free ones. */
  readonly xdsPort: number;
  readonly httpPort: number;
  /** Where the plaintext port 15010 listens; `bind` unless given. */
  readonly xdsBind?: string;
  /** Port 15012, for gateways on other machines. */
  readonly secure?: SecurePort | undefined;
  /** Whether a gateway on another machine must have proved itself to get anything. */
  readonly requireAuthentication?: boolean;
  /** Namespaces other than the root namespace whose gateways are served when they have proved themselves, `*` for all. */
  readonly gatewayNamespaces?: readonly string[];
  /** How long streams live; as long as gateways do unless given. */
  readonly life?: StreamLife;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Discovery {
  readonly xdsPort: number;
  readonly securePort: number | undefined;
  readonly httpPort: number;
  readonly server: XdsServer;
  /**
   * Sends gateways away: is no longer ready, takes no connections, and ends streams at moments spread over a time in
   * milliseconds. Resolves when nobody is connected.
   */
  drain(ms: number): Promise<void>;
}

/** The discovery role: Istio's resources from core over MCP, served to gateways as ADS. In the place of istiod. */
export async function startDiscovery(options: DiscoveryOptions): Promise<Discovery> {
  const { bind, log, signal, life = endlessLife } = options;
  const config = createWatchable<IstioConfigSet>();
  const node = create(NodeSchema, {
    id: "sidecar~127.0.0.1~discovery.higress-system~higress-system.svc.cluster.local",
    metadata: { GENERATOR: "api" },
  });
  const { core: target, coreTls, mcp: mode } = options;
  const credentials = coreTls && (await openClientCredentials(coreTls, { log, signal }));
  followCore({ target, credentials, mode, node, onConfig: asOneChange(config), signal, log });
  const snapshots = createSnapshots(config, options.build, signal);
  const access: AccessOptions = {
    rootNamespace: options.build.rootNamespace,
    gatewayNamespaces: options.gatewayNamespaces ?? [],
    requireAuthentication: options.requireAuthentication ?? false,
  };
  const reports = createReportStream(() => collectReports(server));
  const server = createXdsServer({
    snapshotFor(proxyNode, { peer, identity, gone }) {
      const secrets = secretAccess(proxyNode, peer, identity, access);
      if (secrets === "none")
        log.warn({ node: proxyNode.id, peer }, "a gateway without proof of who it is gets no Secrets");
      return snapshots(proxyOf(proxyNode, secrets, options.build.chain), gone);
    },
    onChange: reports.onChange,
    life,
    log,
  });
  const draining = new AbortController();
  const ready = () =>
    draining.signal.aborted
      ? readyPage(false, "it is about to end")
      : readyPage(config.value !== undefined, `nothing was received from core at ${options.core} yet`);
  const limits = { maxConnectionAgeMs: connectionAgeMs(life), draining: draining.signal };
  const [plainPort, securePort, httpPort] = await Promise.all([
    listenXds(server, options.xdsBind ?? bind, options.xdsPort, signal, limits),
    options.secure && listenSecurely(server, options.secure, { log, signal }, limits),
    servePages({ bind, port: options.httpPort, pages: pages(server, config, reports, ready), signal }),
  ]);
  void firstValue(config, () => true, signal).then(
    () => returnMemoryOfStart(signal),
    () => {},
  );
  log.info({ xds: plainPort, secureXds: securePort, http: httpPort, core: options.core }, "discovery is up");
  return {
    ...{ xdsPort: plainPort, securePort, httpPort, server },
    drain(ms) {
      draining.abort();
      log.info({ gateways: server.clients().length }, "sending gateways away");
      return server.drain(ms);
    },
  };
}

/** Sets configurations. The kinds that one edit changes come one by one, and are one change to gateways. */
function asOneChange(config: Watchable<IstioConfigSet>): (next: IstioConfigSet) => void {
  let received: IstioConfigSet | undefined;
  const publish = coalesce(() => received && config.set(received));
  return (next) => {
    received = next;
    publish();
  };
}

/** A connection is told to go before the first of its streams ends, so that the next stream is on another connection. */
function connectionAgeMs({ maxAgeMs }: StreamLife): number | undefined {
  return Number.isFinite(maxAgeMs) ? Math.round(maxAgeMs / 1.1) : undefined;
}

function pages(
  server: XdsServer,
  config: Watchable<IstioConfigSet>,
  reports: ReportStream,
  ready: () => Page,
): Pages {
  const metrics = new Registry();
  addServerMetrics(metrics, server);
  return {
    "/ready": ready,
    "/metrics": async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
    "/debug/syncz": () => synczPage(server),
    "/debug/ecdsz": (query) =>
      query.has("watch") ? eventsPage(reports.watch) : ecdszPage(server, query.get("proxyID")),
    "/debug/config_dump": (query) => configDumpPage(server, config.value, query),
    "/debug/configz": (query) => ({
      type: "application/json",
      body: config.value ? configz(config.value, query.has("pretty")) : "[]",
    }),
  };
}
