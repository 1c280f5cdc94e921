import { mkdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { Registry } from "prom-client";
import { jsonPage, readyPage, servePages } from "../http-server.ts";
import type { Log } from "../log.ts";
import { readAuthorities } from "../oci/authorities.ts";
import { type Connections, createConnections } from "../oci/connections.ts";
import { mirrored } from "../oci/mirrors.ts";
import { errorText, SystemError } from "../system-error.ts";
import { adaptationTarget, adaptModule, type GatewayAbi, propertyNames } from "../wasm/adapt-module.ts";
import { watchFile } from "../watch-file.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { type ClientTls, openClientCredentials } from "../xds/client-credentials.ts";
import { checkAdminPort } from "./check-admin-port.ts";
import { withCurrentRoute } from "./current-route.ts";
import { type AdminAddress, isConfigured, ready } from "./envoy-admin.ts";
import { envoyBootstrap } from "./envoy-bootstrap.ts";
import { createModuleMetrics, type ModuleMetrics } from "./metrics.ts";
import { createModuleCache, type ModuleCache, type ModulePreparation } from "./module-cache.ts";
import type { GatewayNode } from "./node.ts";
import { createPluginLog, type PluginLog } from "./plugin-log.ts";
import type { PurgePolicy } from "./purge-policy.ts";
import { createReadiness } from "./readiness.ts";
import { createChainResolver } from "./resolve-chain.ts";
import {
  createModuleResolver,
  type FetchModule,
  type ModuleResolver,
  type PluginModule,
} from "./resolve-module.ts";
import type { ListenerRewrite } from "./rewrite-listeners.ts";
import { type EnvoyState, type RestartRequest, runEnvoy } from "./run-envoy.ts";
import { serveXdsProxy } from "./xds-proxy.ts";

/** The Envoy that an agent runs. */
export interface EnvoyOptions {
  readonly path: string;
  readonly concurrency: number;
  /** Where its admin interface listens; on the agent's own address unless given. */
  readonly adminBind?: string;
  readonly adminPort: number;
  readonly drainMs: number;
  readonly logLevel?: "trace" | "debug" | "info" | "warning" | "error" | "critical" | "off";
  /** Settings, as JSON or YAML, that Envoy merges over the bootstrap. */
  readonly overridesPath?: string;
  /** Asks for another Envoy to take over, beside what changes at `path` and `overridesPath`. */
  readonly restart?: Watchable<RestartRequest>;
}

/** What modules on disk may take together, in bytes, unless the user says otherwise. */
export const defaultModuleCacheBytes = 4 * 2 ** 30;

export interface AgentOptions {
  /** Discovery's ADS, as `host:port`, several separated by commas. */
  readonly discovery: string;
  /** How discovery is trusted, and what it is shown; plaintext unless given. */
  readonly discoveryTls?: ClientTls | undefined;
  readonly node: GatewayNode;
  /** Holds the socket, the modules and Envoy's bootstrap. */
  readonly dataDir: string;
  readonly bind: string;
  /** Port 15020; 0 for any free one. */
  readonly httpPort: number;
  /** Registries, as `host:port`, that are spoken to without TLS. Those on this machine always are. */
  readonly insecureRegistries: readonly string[];
  /** Registries that stand for others, by the name that images say. */
  readonly registryMirrors: ReadonlyMap<string, string>;
  /** By registry: the file, in PEM, of certificate authorities that are trusted there beside Node's own. */
  readonly registryAuthorities?: ReadonlyMap<string, string>;
  /** Registries whose certificates are not looked at. */
  readonly unverifiedRegistries?: readonly string[];
  /** Lets registries redirect, and send for tokens, to any address. */
  readonly allowPrivateRedirects?: boolean;
  /** What modules find at the gateway: they are checked for it, and adapted to it. */
  readonly gatewayAbi: GatewayAbi;
  /** What modules on disk may take together, in bytes; 4 GiB unless given. Those in effect stay though they take more. */
  readonly moduleCacheBytes?: number;
  /** undefined: the gateway is somebody else's, and connects to the socket by itself. */
  readonly envoy?: EnvoyOptions;
  /** The admin interface of a gateway that is somebody else's: it is ready when that says so. */
  readonly gatewayAdmin?: AdminAddress;
  /** Whether a gateway that is somebody else's serves, where that is known. */
  readonly isGatewayReady?: () => boolean;
  /** Of a gateway that is somebody else's, where it tells. */
  readonly pluginLog?: PluginLog;
  /** Drains and stops Envoy, while everything else of the agent still serves it. `signal` unless given. */
  readonly envoySignal?: AbortSignal;
  readonly incremental: boolean;
  readonly log: Log;
  readonly signal: AbortSignal;
}

export interface Agent {
  readonly httpPort: number;
  readonly socket: string;
  /** Resolves when Envoy is gone, after the signal; where the gateway is somebody else's, at the signal. */
  readonly stopped: Promise<void>;
  plugins(): readonly PluginModule[];
}

/** The agent role: ADS for one gateway, with modules in the place of their urls. In the place of Istio's pilot-agent. */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { bind, log, signal, envoy } = options;
  const dataDir = resolve(options.dataDir);
  const socket = socketPath(dataDir);
  if (envoy) await checkAdminPort(envoy.adminBind ?? bind, envoy.adminPort);
  await mkdir(dataDir, { recursive: true });
  const metrics = new Registry();
  const moduleMetrics = createModuleMetrics(metrics);
  const retention = retentionOf(options.moduleCacheBytes ?? defaultModuleCacheBytes, () =>
    resolver.modulesInEffect(),
  );
  const cache = createCache(options, await openConnections(options), dataDir, retention, moduleMetrics);
  const listenerRewrite = createWatchable<ListenerRewrite>();
  const fetchModule: FetchModule = async (request, fetching) => {
    const url = mirrored(request.url, options.registryMirrors);
    const module = await cache.fetch({ ...request, url }, fetching);
    if (module.adapted?.includes(propertyNames)) listenerRewrite.set(withCurrentRoute);
    return module;
  };
  const modules = createChainResolver(createModuleResolver(moduleMetrics.measured(fetchModule), log));
  const resolver = purgingReplaced(modules, cache, retention.maxBytes, log);
  purgeRegularly(cache, log, signal);
  const pluginLog = envoy ? createPluginLog() : options.pluginLog;
  const { discoveryTls } = options;
  await serveXdsProxy({
    target: options.discovery,
    credentials: discoveryTls && (await openClientCredentials(discoveryTls, { log, signal })),
    socket,
    resolver,
    listenerRewrite,
    pluginLog,
    log,
    signal,
  });
  const state: { envoy: EnvoyState | undefined } = { envoy: undefined };
  const whyNotReady = createReadiness(() => gatewayServes(options, state.envoy), resolver.plugins);
  const httpPort = await servePages({ bind, port: options.httpPort, pages: pages(), signal });
  const stopped = envoy ? startOwnEnvoy(envoy) : untilAborted(options.envoySignal ?? signal);
  return { httpPort, socket, stopped, plugins: resolver.plugins };

  function pages() {
    return {
      "/healthz/ready": async () => {
        const reason = await whyNotReady();
        return readyPage(reason === undefined, reason ?? "");
      },
      "/stats/prometheus": async () => ({ type: metrics.contentType, body: await metrics.metrics() }),
      "/debug/modules": () =>
        jsonPage({ plugins: pluginStatus(), modules: cache.entries(), envoy: state.envoy }),
    };
  }

  function pluginStatus() {
    return resolver.plugins().map((plugin) => ({ ...plugin, lastTrap: pluginLog?.lastTrap(plugin.name) }));
  }

  function startOwnEnvoy(envoy: EnvoyOptions): Promise<void> {
    const { path, concurrency, adminPort, drainMs, logLevel, overridesPath } = envoy;
    const { node, incremental } = options;
    const envoySignal = options.envoySignal ?? signal;
    const restart = envoy.restart ?? createWatchable<RestartRequest>();
    for (const file of overridesPath === undefined ? [path] : [path, overridesPath])
      void watchFile(file, () => restart.set({ reason: `${file} has changed` }), envoySignal);
    restart.watch(({ reason }) => log.info({ reason }, "another Envoy is to take over"), envoySignal);
    return runEnvoy({
      envoyPath: path,
      bootstrap: envoyBootstrap({
        node,
        xdsSocket: socket,
        adminAddress: envoy.adminBind ?? bind,
        adminPort,
        delta: incremental,
      }),
      dataDir,
      concurrency,
      log: log.child({ role: "envoy" }),
      logLevel: logLevel ?? "warning",
      onLogLine: pluginLog?.take,
      drainMs,
      overridesPath,
      restart,
      signal: envoySignal,
      onState: (next) => {
        state.envoy = next;
      },
    });
  }
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

const dayMs = 24 * 3_600_000;
const purgeMs = 60_000;

/** Modules that nobody has asked for in a day, and those beyond the cache's size. What is in effect stays. */
function retentionOf(maxBytes: number, modulesInEffect: () => readonly string[]): PurgePolicy {
  const inEffect = () => new Set(modulesInEffect().map((path) => basename(path, ".wasm")));
  return { inEffect, maxAgeMs: dayMs, maxBytes };
}

async function purge(cache: ModuleCache, log: Log): Promise<void> {
  await cache.purge().catch((error) => log.warn({ error: errorText(error) }, "cannot remove modules"));
}

/** A module that stayed beyond the cache's size because it was in effect goes when the gateway has taken another. */
function purgingReplaced(
  resolver: ModuleResolver,
  cache: ModuleCache,
  maxBytes: number,
  log: Log,
): ModuleResolver {
  return {
    ...resolver,
    accepted(resource) {
      resolver.accepted(resource);
      if (cache.size() > maxBytes) void purge(cache, log);
    },
  };
}

/** What was in effect when the cache last looked may not be any more. */
function purgeRegularly(cache: ModuleCache, log: Log, signal: AbortSignal): void {
  const timer = setInterval(() => void purge(cache, log), purgeMs).unref();
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

/** A unix socket's path must be short: the kernel takes 107 bytes. */
function socketPath(dataDir: string): string {
  const socket = join(dataDir, "xds.sock");
  if (Buffer.byteLength(socket) <= 107) return socket;
  throw new SystemError(
    "disk",
    `the path of the xDS socket is too long (${socket}): give a --data-dir of at most 98 bytes`,
  );
}

/** Envoy that has refused all its listeners or clusters is ready by its own word, but there is nothing behind it. */
async function gatewayServes(
  { bind, envoy, gatewayAdmin, isGatewayReady }: AgentOptions,
  state: EnvoyState | undefined,
): Promise<boolean> {
  const admin = envoy ? { address: envoy.adminBind ?? bind, port: envoy.adminPort } : gatewayAdmin;
  if (!admin) return isGatewayReady?.() ?? true;
  // The admin interface is the successor's; the Envoy that it takes over from serves.
  if (state?.phase === "running" && state.successor) return true;
  const states = [ready(admin), isConfigured(admin)];
  return (await Promise.all(states).catch(() => [false])).every(Boolean);
}

/** @throws SystemError `disk` for a file of certificates that cannot be used */
async function openConnections(options: AgentOptions): Promise<Connections> {
  return createConnections({
    authorities: await readAuthorities(options.registryAuthorities ?? new Map()),
    unverifiedHosts: options.unverifiedRegistries,
    allowPrivateRedirects: options.allowPrivateRedirects,
  });
}

/** Modules that a gateway cannot load are refused before it gets them, those that it nearly can are adapted. */
function preparationFor(gateway: GatewayAbi, log: Log): ModulePreparation {
  return {
    target: adaptationTarget(gateway),
    prepare(bytes, what) {
      const { bytes: prepared, adaptations, warning } = adaptModule(bytes, what, gateway);
      const adapted = adaptations.length > 0 ? adaptations : undefined;
      if (adapted) log.info({ module: what, adapted }, "adapted a module to stock Envoy");
      if (warning) log.warn({ module: what, error: warning }, "a module could not be adapted to stock Envoy");
      return { bytes: prepared, adapted, warning };
    },
  };
}

/** The module cache, counted. */
function createCache(
  { insecureRegistries, gatewayAbi, log }: AgentOptions,
  connections: Connections,
  dataDir: string,
  retention: PurgePolicy,
  metrics: ModuleMetrics,
): ModuleCache {
  const cache = createModuleCache({
    dir: join(dataDir, "modules"),
    insecureRegistries,
    connections,
    log,
    preparation: preparationFor(gatewayAbi, log),
    retention,
    onLookup: metrics.onLookup,
    onFetch: metrics.onFetch,
    onPull: metrics.onPull,
    onReceived: metrics.onReceived,
  });
  metrics.watchCache(cache, retention.maxBytes);
  return cache;
}
