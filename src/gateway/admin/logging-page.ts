import type { Page } from "../../http-server.ts";

/** The levels of the gateway's loggers. Unlike Envoy: plugins have one of their own, all others write one log. */
export interface LoggerLevels {
  /** By Envoy's names. */
  readonly all: ReadonlyMap<string, LoggerLevel>;
  set(changes: ReadonlyMap<string, LoggerLevel>): void;
}

export type LoggerLevel = (typeof levels)[number];

const levels = ["trace", "debug", "info", "warning", "error", "critical", "off"] as const;

/** Tools set Envoy's loggers by these names. */
const loggers =
  `admin alternate_protocols_cache assert backtrace client config connection conn_handler compression decompression dns
  file filter grpc hc health_checker http http2 init io jwt lua local_rate_limit main matcher misc oauth2 pool rbac rds
  redis router runtime stats secret tap tracing upstream wasm websocket`.split(/\s+/);

/** `onPlugins` gets the level of `wasm`, `onGateway` the most talkative of the others. */
export function createLoggerLevels(
  initial: LoggerLevel,
  { onPlugins, onGateway }: Readonly<Record<"onPlugins" | "onGateway", (level: LoggerLevel) => void>>,
): LoggerLevels {
  const all = new Map(loggers.map((name) => [name, initial]));
  return {
    all,
    set(changes) {
      for (const [name, level] of changes) all.set(name, level);
      if (changes.has("wasm")) onPlugins(all.get("wasm")!);
      const others = [...all].filter(([name]) => name !== "wasm").map(([, level]) => levels.indexOf(level));
      if ([...changes.keys()].some((name) => name !== "wasm")) onGateway(levels[Math.min(...others)]!);
    },
  };
}

/** `/logging`: changes levels, and tells all of them. */
export function loggingPage(query: URLSearchParams, logger: LoggerLevels): Page {
  const changes = readChanges([...query], logger);
  if (typeof changes === "string")
    return { status: 400, body: `error: ${changes}\n\n${usage}${levelLines(logger)}` };
  if (changes.size > 0) logger.set(changes);
  return { body: levelLines(logger) };
}

const usage = `usage: /logging?<name>=<level> (change single level)
usage: /logging?paths=name1:level1,name2:level2,... (change multiple levels)
usage: /logging?level=<level> (change all levels)
levels: ${levels.join(" ")} 
`;

function levelLines({ all }: LoggerLevels): string {
  return `active loggers:\n${[...all].map(([name, level]) => `  ${name}: ${level}\n`).join("")}\n`;
}

/** What is to change, or what is wrong. */
function readChanges(
  params: readonly (readonly [string, string])[],
  { all }: LoggerLevels,
): ReadonlyMap<string, LoggerLevel> | string {
  const [only, ...more] = params.filter(([, value]) => value !== "");
  if (!only) return new Map();
  if (more.length > 0) return "invalid number of parameters";
  const [name, value] = only;
  const pairs =
    name === "level"
      ? [...all.keys()].map((each) => [each, value] as const)
      : name === "paths"
        ? value.split(",").map(splitPair)
        : [[name, value] as const];
  const changes = new Map<string, LoggerLevel>();
  for (const [logger, text] of pairs) {
    const level = levels.find((each) => each === text);
    if (!level) return "unknown logger level";
    if (!all.has(logger)) return "unknown logger name";
    changes.set(logger, level);
  }
  return changes;
}

function splitPair(text: string): readonly [string, string] {
  const at = text.indexOf(":");
  return [text.slice(0, Math.max(at, 0)), text.slice(at + 1)];
}
