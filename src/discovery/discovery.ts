import { networkInterfaces } from "node:os";
import { create } from "@bufbuild/protobuf";
import { Registry } from "prom-client";
import { type Node, NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { getOrCreate } from "../get-or-create.ts";
import { eventsPage, readyPage, servePages } from "../http-server.ts";
import type { IstioConfigSet } from "../istio/config.ts";
import { configz } from "../istio/configz.ts";
import { followCore } from "../istio/follow-core.ts";
import type { Log } from "../log.ts";
import { returnMemoryOfStart } from "../return-memory.ts";
import { createWatchable, firstValue, type Watchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { addServerMetrics } from "../xds/metrics.ts";
import { createXdsServer, type XdsServer } from "../xds/server.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { type BuildOptions, createSnapshotBuilder } from "./build-snapshot.ts";
import { configDumpPage, ecdszPage, synczPage } from "./debug-pages.ts";
import { collectReports } from "./plugin-reports.ts";
import { type ProxyNode, proxyOf } from "./proxy.ts";
import { createReportStream } from "./report-stream.ts";

export interface DiscoveryOptions {
  /** Core's MCP, as `host:port`. */
  readonly core: string;
  /** How to ask core: `incremental`, or `state-of-the-world` for Higress' own. */
  readonly mcp: "incremental" | "state-of-the-world";
  readonly build: BuildOptions;
  readonly bind: string;
  /** Ports 15010 and 15014; 0 for any free ones. */
  readonly xdsPort: number;
  readonly httpPort: number;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Discovery {
  readonly xdsPort: number;
  readonly httpPort: number;
  readonly server: XdsServer;
}

/** The discovery role: Istio's resources from core over MCP, served to gateways as ADS. In the place of istiod. */
export async function startDiscovery(options: DiscoveryOptions): Promise<Discovery> {
  const { bind, log, signal } = options;
  const config = createWatchable<IstioConfigSet>();
  const node = create(NodeSchema, {
    id: "sidecar~127.0.0.1~discovery.higress-system~higress-system.svc.cluster.local",
    metadata: { GENERATOR: "api" },
  });
  followCore({ target: options.core, mode: options.mcp, node, onConfig: config.set, signal, log });
  const snapshots = createSnapshots(config, options.build, proxiesInUse, signal);
  const reports = createReportStream(() => collectReports(server));
  const server = createXdsServer({
    snapshotFor: (proxyNode, peer) => snapshots(toProxy(proxyNode, peer)),
    onChange: reports.onChange,
    log,
  });
  function toProxy(proxyNode: Node, peer: string): ProxyNode {
    return proxyOf(proxyNode, isLocal(peer), options.build.chain);
  }
  function proxiesInUse(): ProxyNode[] {
    return server.clients().map((client) => toProxy(client.node, client.peer));
  }
  const metrics = new Registry();
  addServerMetrics(metrics, server);
  const pages = {
    "/ready": () =>
      readyPage(config.value !== undefined, `nothing was received from core at ${options.core} yet`),
    "/metrics": async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
    "/debug/syncz": () => synczPage(server),
    "/debug/ecdsz": (query: URLSearchParams) =>
      query.has("watch") ? eventsPage(reports.watch) : ecdszPage(server, query.get("proxyID")),
    "/debug/config_dump": (query: URLSearchParams) => configDumpPage(server, config.value, query),
    "/debug/configz": (query: URLSearchParams) => ({
      type: "application/json",
      body: config.value ? configz(config.value, query.has("pretty")) : "[]",
    }),
  };
  const [xdsPort, httpPort] = await Promise.all([
    listenXds(server, bind, options.xdsPort, signal),
    servePages({ bind, port: options.httpPort, pages, signal }),
  ]);
  void firstValue(config, () => true, signal).then(
    () => returnMemoryOfStart(signal),
    () => {},
  );
  log.info({ xds: xdsPort, http: httpPort, core: options.core }, "discovery is up");
  return { xdsPort, httpPort, server };
}

/** From this many kinds of gateways on, snapshots that no connected gateway uses are given up. */
const manySnapshots = 64;

/** One snapshot for all gateways that get the same: built when the first of them comes, and again with each change. */
function createSnapshots(
  config: Watchable<IstioConfigSet>,
  options: BuildOptions,
  proxiesInUse: () => readonly ProxyNode[],
  signal: AbortSignal,
) {
  const byProxy = new Map<
    string,
    { readonly snapshot: Watchable<Snapshot>; readonly end: AbortController }
  >();
  const endAll = () => {
    for (const { end } of byProxy.values()) end.abort();
  };
  signal.addEventListener("abort", endAll, { once: true });

  function giveUpUnused(): void {
    const used = new Set(proxiesInUse().map((proxy) => JSON.stringify(proxy)));
    for (const [key, { end }] of byProxy) {
      if (used.has(key)) continue;
      end.abort();
      byProxy.delete(key);
    }
  }

  return (proxy: ProxyNode): Watchable<Snapshot> => {
    const key = JSON.stringify(proxy);
    if (!byProxy.has(key) && byProxy.size >= manySnapshots) giveUpUnused();
    return getOrCreate(byProxy, key, () => {
      const snapshot = createWatchable<Snapshot>();
      const end = new AbortController();
      const build = createSnapshotBuilder(proxy, options);
      config.watch((next) => snapshot.set(build(next)), end.signal);
      return { snapshot, end };
    }).snapshot;
  };
}

/** Registry credentials go to gateways on this machine only: a plaintext connection proves nothing about another one. */
function isLocal(peer: string): boolean {
  const address = peer
    .replace(/:\d+$/, "")
    .replace(/^\[|\]$/g, "")
    .replace(/^::ffff:/, "");
  const own = Object.values(networkInterfaces()).flatMap((interfaces) => interfaces ?? []);
  return (
    peer.startsWith("unix:") || address.startsWith("127.") || own.some((entry) => entry.address === address)
  );
}
