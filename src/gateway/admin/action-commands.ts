import { fromBinary } from "@bufbuild/protobuf";
import { TrafficDirection } from "../../gen/envoy/config/core/v3/base_pb.ts";
import { ListenerSchema } from "../../gen/envoy/config/listener/v3/listener_pb.ts";
import type { Page } from "../../http-server.ts";
import { setLogLevel } from "../../log.ts";
import { LogLevel } from "../../proxy-wasm/index.ts";
import type { AdminOptions } from "../admin.ts";
import type { AdminCommand, AdminParam } from "./admin-server.ts";
import { createLoggerLevels, type LoggerLevel, type LoggerLevels, loggingPage } from "./logging-page.ts";
import { recordCommand } from "./record-command.ts";
import type { ServerState } from "./server-state.ts";

const ok: Page = { body: "OK\n" };

/** What changes something. */
export function actionCommands(options: AdminOptions, server: ServerState): AdminCommand[] {
  const { gateway, onQuit = () => process.kill(process.pid, "SIGTERM") } = options;
  const logger = loggerLevels(options);
  return [
    action("/healthcheck/fail", "cause the server to fail health checks", () => server.setHealthy(false)),
    action("/healthcheck/ok", "cause the server to pass health checks", () => server.setHealthy(true)),
    {
      ...action("/drain_listeners", "drain listeners", (query) => drainListeners(options, query)),
      params: drainParams,
    },
    {
      path: "/logging",
      help: "query/change logging levels",
      mutates: true,
      params: loggingParams,
      answer: (query) => loggingPage(query, logger),
    },
    action("/reopen_logs", "reopen access logs", () => gateway.control({ kind: "reopen-logs" })),
    recordCommand(gateway),
    // The answer leaves first.
    action("/quitquitquit", "exit the server", () => void setImmediate(onQuit)),
  ];
}

/** A command that says OK when it is done. */
export function action(path: string, help: string, run: (query: URLSearchParams) => unknown): AdminCommand {
  const answer = async (query: URLSearchParams) => {
    await run(query);
    return ok;
  };
  return { path, help, mutates: true, answer };
}

const drainParams: readonly AdminParam[] = [
  { name: "graceful", help: "Wait for the drain period first" },
  { name: "inboundonly", help: "Drains all inbound listeners" },
];

const loggingParams: readonly AdminParam[] = [
  { name: "paths", help: "Change multiple logging levels: <logger_name1>:<desired_level1>,…" },
  { name: "level", help: "desired logging level, this will change all loggers's level" },
];

function loggerLevels({ gateway, log }: AdminOptions): LoggerLevels {
  return createLoggerLevels("info", {
    onPlugins: (level) => void gateway.control({ kind: "plugin-log-level", level: pluginLevels[level] }),
    onGateway: (level) => log && setLogLevel(log, pinoLevels[level]),
  });
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
