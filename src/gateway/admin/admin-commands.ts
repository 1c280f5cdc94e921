import { fromBinary, type JsonObject } from "@bufbuild/protobuf";
import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import { jsonPage, type Page } from "../../http-server.ts";
import { setLogLevel } from "../../log.ts";
import { LogLevel } from "../../proxy-wasm/index.ts";
import type { AdminOptions } from "../admin.ts";
import { emptyConfig } from "../apply-response.ts";
import { configDump } from "../config-dump.ts";
import type { AdminCommand, AdminParam } from "./admin-server.ts";
import { createAllStats } from "./all-stats.ts";
import { certsPage } from "./certs-page.ts";
import { clustersPage } from "./clusters-page.ts";
import { configDumpPage } from "./config-dump-page.ts";
import { helpText, homePage } from "./home-page.ts";
import { initDumpPage } from "./init-dump-page.ts";
import { watchIntervals } from "./intervals.ts";
import { listenersPage } from "./listeners-page.ts";
import { createLoggerLevels, type LoggerLevel, loggingPage } from "./logging-page.ts";
import { memoryPage } from "./memory-page.ts";
import { bootstrapJson, serverInfo } from "./server-info.ts";
import { createServerState, type ServerState } from "./server-state.ts";
import { prometheusPage, statsPage } from "./stats-page.ts";

/** All pages and actions, by path. */
export function adminCommands(options: AdminOptions): ReadonlyMap<string, AdminCommand> {
  const server = createServerState(options.gateway);
  const commands = new Map<string, AdminCommand>();
  const home: AdminCommand[] = [
    { path: "/", help: "Admin home page", answer: () => homePage(commands) },
    { path: "/help", help: "print out list of admin commands", answer: () => ({ body: helpText(commands) }) },
  ];
  const all = [
    ...home,
    ...statsCommands(options, server),
    ...statusCommands(options, server),
    ...actionCommands(options, server),
    ...absentCommands,
  ];
  for (const command of all) commands.set(command.path, command);
  return commands;
}

const ok: Page = { body: "OK\n" };
const params = (...names: readonly (readonly [name: string, help: string])[]): AdminParam[] =>
  names.map(([name, help]) => ({ name, help }));

function statsCommands(options: AdminOptions, server: ServerState): AdminCommand[] {
  const stats = createAllStats(options, server);
  const intervals = watchIntervals(() => stats.read(), options.signal);
  const shared = params(
    ["usedonly", "Only include stats that are not 0"],
    ["filter", "Regular expression (Google re2) for filtering stats"],
    ["histogram_buckets", "Histogram bucket display mode; One of (cumulative, disjoint, detailed, summary)"],
  );
  return [
    {
      path: "/stats",
      help: "print server stats",
      params: [
        ...shared,
        ...params(
          ["invert_filter", "Invert the filter regex"],
          ["format", "Format to use; One of (html, active-html, text, json)"],
          ["type", "Stat types to include.; One of (All, Counters, Histograms, Gauges, TextReadouts)"],
        ),
      ],
      answer: async (query) => statsPage(query, await stats.read(), intervals()),
    },
    {
      path: "/stats/prometheus",
      help: "print server stats in prometheus format",
      params: [...shared, ...params(["text_readouts", "Render text_readouts as new gauges with value 0"])],
      answer: async (query) => prometheusPage(query, await stats.read()),
    },
    {
      path: "/reset_counters",
      help: "reset all counters to zero",
      mutates: true,
      answer: async () => {
        await stats.reset();
        return ok;
      },
    },
  ];
}

function statusCommands(options: AdminOptions, server: ServerState): AdminCommand[] {
  const { gateway, node, version, threads } = options;
  const startedAt = new Date();
  const drainSeconds = options.drainSeconds ?? 0;
  const received = () => options.config.value ?? emptyConfig;
  const current = () => gateway.config ?? emptyConfig;
  const bootstrap = (options.bootstrap ??
    bootstrapJson(node, version, options.bind, options.port)) as JsonObject;
  const format = params(["format", "File format to use; One of (text, json)"]);
  return [
    {
      path: "/ready",
      help: "print server state, return 200 if LIVE, otherwise return 503",
      answer: () => ({ status: server.state === "LIVE" ? 200 : 503, body: `${server.state}\n` }),
    },
    {
      path: "/server_info",
      help: "print server version/status information",
      answer: () => {
        const { state, uptimeSeconds } = server;
        return jsonPage(
          serverInfo({ version, node, state, uptimeSeconds, drainSeconds, ...(threads && { threads }) }),
        );
      },
    },
    {
      path: "/listeners",
      help: "print listener info",
      params: format,
      answer: async (query) => listenersPage(query, current(), await gateway.snapshot()),
    },
    {
      path: "/clusters",
      help: "upstream cluster status",
      params: [
        ...params(["filter", "Regular expression (Google re2) for filtering clusters by name"]),
        ...format,
      ],
      answer: async (query) => clustersPage(query, current(), await gateway.snapshot()),
    },
    {
      path: "/config_dump",
      help: "dump current Envoy configs",
      params: params(
        ["resource", "The resource to dump"],
        ["mask", "The mask to apply: field paths, separated by commas"],
        ["name_regex", "Dump only the currently loaded configurations whose names match the specified regex"],
        ["include_eds", "Dump currently loaded configuration including EDS"],
      ),
      answer: (query) =>
        configDumpPage(query, (how) => configDump(received(), { bootstrap, startedAt, ...how })),
    },
    {
      path: "/init_dump",
      help: "dump current Envoy init manager information (experimental)",
      params: params(["mask", "listener or cluster"]),
      answer: (query) => initDumpPage(query, received()),
    },
    { path: "/certs", help: "print certs on machine", answer: () => certsPage(current()) },
    { path: "/memory", help: "print current allocation/heap usage", answer: memoryPage },
    { path: "/runtime", help: "print runtime values", answer: () => jsonPage({ entries: {}, layers: [] }) },
  ];
}

function actionCommands(options: AdminOptions, server: ServerState): AdminCommand[] {
  const { gateway, log, onQuit = () => process.kill(process.pid, "SIGTERM") } = options;
  const logger = createLoggerLevels("info", {
    onPlugins: (level) => void gateway.control({ kind: "plugin-log-level", level: pluginLevels[level] }),
    onGateway: (level) => log && setLogLevel(log, pinoLevels[level]),
  });
  const setHealthy = (healthy: boolean) => () => {
    server.setHealthy(healthy);
    return ok;
  };
  const act = (
    path: string,
    help: string,
    answer: AdminCommand["answer"],
    own?: AdminParam[],
  ): AdminCommand => ({
    path,
    help,
    mutates: true,
    answer,
    ...(own && { params: own }),
  });
  const done = (run: (query: URLSearchParams) => unknown) => async (query: URLSearchParams) => {
    await run(query);
    return ok;
  };
  return [
    act("/healthcheck/fail", "cause the server to fail health checks", setHealthy(false)),
    act("/healthcheck/ok", "cause the server to pass health checks", setHealthy(true)),
    act(
      "/drain_listeners",
      "drain listeners",
      done((query) => drainListeners(options, query)),
      params(
        ["graceful", "Wait for the drain period first"],
        ["inboundonly", "Drains all inbound listeners"],
      ),
    ),
    act(
      "/logging",
      "query/change logging levels",
      (query) => loggingPage(query, logger),
      params(
        ["paths", "Change multiple logging levels: <logger_name1>:<desired_level1>,…"],
        ["level", "desired logging level, this will change all loggers's level"],
      ),
    ),
    act(
      "/reopen_logs",
      "reopen access logs",
      done(() => gateway.control({ kind: "reopen-logs" })),
    ),
    act(
      "/quitquitquit",
      "exit the server",
      // The answer leaves first.
      done(() => void setImmediate(onQuit)),
    ),
  ];
}

const pluginLevels: Readonly<Record<LoggerLevel, LogLevel>> = {
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warn,
  error: LogLevel.Error,
  critical: LogLevel.Critical,
  off: LogLevel.Critical,
};

const pinoLevels: Readonly<Record<LoggerLevel, string>> = {
  trace: "trace",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  critical: "fatal",
  off: "silent",
};

/** `inboundonly` are those whose resource says so. Draining gracefully, they accept connections for as long as a drain may take. */
function drainListeners(
  { gateway, config, drainSeconds = 0, signal }: AdminOptions,
  query: URLSearchParams,
): void {
  const received = config.value?.received.listeners.accepted;
  const isInbound = (name: string) => {
    const bytes = received?.get(name)?.value;
    return (
      bytes !== undefined && fromBinary(ListenerSchema, bytes).trafficDirection === TrafficDirection.INBOUND
    );
  };
  const names = [...gateway.listeners.keys()].filter((name) => !query.has("inboundonly") || isInbound(name));
  if (!query.has("graceful")) {
    void gateway.control({ kind: "drain-listeners", names });
    return;
  }
  const timer = setTimeout(
    () => void gateway.control({ kind: "drain-listeners", names }),
    drainSeconds * 1000,
  );
  timer.unref();
  signal.addEventListener("abort", () => clearTimeout(timer));
}

/** What Envoy says where it was built or started without them. */
const absentCommands: readonly AdminCommand[] = [
  text("/hot_restart_version", "print the hot restart compatibility version", "disabled"),
  text(
    "/contention",
    "dump current Envoy mutex contention stats (if enabled)",
    "Mutex contention tracing is not enabled. To enable, run Envoy with flag --enable-mutex-tracing.",
  ),
  text(
    "/stats/recentlookups",
    "Show recent stat-name lookups",
    "Lookup tracking is not enabled. Use /stats/recentlookups/enable to enable.\n\ntotal: 0\n",
  ),
  ...["allocprofiler", "cpuprofiler", "heapprofiler"].map(
    (name): AdminCommand => ({
      ...text(`/${name}`, "enable/disable a profiler", `The current build does not support the ${name}`, 501),
      mutates: true,
    }),
  ),
  ...["heap_dump", "peak_heap_dump", "memory/tcmalloc"].map((name) =>
    text(`/${name}`, "dump Envoy heap (if supported)", "The current build does not support this", 501),
  ),
  {
    ...text("/runtime_modify", "Adds or modifies runtime values", "No admin layer specified", 503),
    mutates: true,
  },
];

function text(path: string, help: string, body: string, status = 200): AdminCommand {
  return { path, help, answer: () => ({ status, body }) };
}
