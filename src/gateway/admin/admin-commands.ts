import type { JsonObject } from "@bufbuild/protobuf";
import { jsonPage } from "../../http-server.ts";
import type { AdminOptions } from "../admin.ts";
import { emptyConfig } from "../apply-response.ts";
import { configDump } from "../config-dump.ts";
import { absentCommands } from "./absent-commands.ts";
import { action, actionCommands } from "./action-commands.ts";
import type { AdminCommand, AdminParam } from "./admin-server.ts";
import { createAllStats } from "./all-stats.ts";
import { certsPage } from "./certs-page.ts";
import { clustersPage } from "./clusters-page.ts";
import { configDumpPage } from "./config-dump-page.ts";
import { helpText, homePage } from "./home-page.ts";
import { initDumpPage } from "./init-dump-page.ts";
import { watchIntervals } from "./intervals.ts";
import { listenersPage } from "./listeners-page.ts";
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
    action("/reset_counters", "reset all counters to zero", () => stats.reset()),
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
