import { setMaxListeners } from "node:events";
import { type Command, InvalidArgumentError, Option } from "commander";
import { createLog, type Log } from "../log.ts";

/** Adds an option that can also be given as an environment variable, `--data-dir` as WASMLINE_DATA_DIR. */
export function addOption(
  command: Command,
  flags: string,
  description: string,
  init?: (option: Option) => void,
): void {
  const option = new Option(flags, description);
  option.env(`WASMLINE_${option.name().replaceAll("-", "_").toUpperCase()}`);
  init?.(option);
  command.addOption(option);
}

/** For options that may be repeated, or hold several values separated by commas. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  return [...(previous ?? []), ...value.split(",").filter((part) => part !== "")];
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isInteger(value) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** `key=value`. */
export function pair(text: string): { key: string; value: string } {
  const at = text.indexOf("=");
  if (at > 0) return { key: text.slice(0, at), value: text.slice(at + 1) };
  throw new InvalidArgumentError("Expected key=value.");
}

/** A port option with its default. `--port-offset` is added to it. */
export function addPort(command: Command, flag: string, port: number, what: string): void {
  addOption(command, `--${flag} <port>`, what, (option) => option.default(port).argParser(integer(0, 65535)));
}

export interface CommonOptions {
  readonly bind: string;
  readonly portOffset: number;
  readonly logLevel: string;
  readonly logFormat: "text" | "json";
}

/** The options of every role. */
export function addCommonOptions(command: Command): void {
  addOption(command, "--bind <address>", "address of every port", (option) => option.default("127.0.0.1"));
  addOption(
    command,
    "--port-offset <n>",
    "is added to every port, so that several systems run side by side",
    (option) => option.default(0).argParser(integer(0, 50_000)),
  );
  addOption(command, "--log-level <level>", "what is logged", (option) =>
    option.default("info").choices(["debug", "info", "warn", "error", "silent"]),
  );
  addOption(command, "--log-format <format>", "how it is logged", (option) =>
    option.default("text").choices(["text", "json"]),
  );
}

export function logOf({ logLevel, logFormat }: CommonOptions): Log {
  return createLog({ level: logLevel, format: logFormat });
}

/** Adds the offset to a port; 0, any free port, stays. */
export function withOffset({ portOffset }: CommonOptions, port: number): number {
  return port === 0 ? 0 : port + portOffset;
}

/** Where something that listens on an address is reached from this machine. */
export function reachableAt(bind: string): string {
  if (bind === "0.0.0.0") return "127.0.0.1";
  if (bind === "::") return "::1";
  return bind;
}

/** `host:port` of a role on this machine. */
export function localTarget(bind: string, port: number): string {
  const host = reachableAt(bind);
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** The end of something that many wait for: Node would warn of a leak above ten. */
export function createLifetime(): AbortController {
  const lifetime = new AbortController();
  setMaxListeners(0, lifetime.signal);
  return lifetime;
}

/** A signal that aborts at SIGTERM and SIGINT. A second one ends the process at once. */
export function stopSignal(): AbortSignal {
  const stop = createLifetime();
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1);
      stop.abort();
    });
  }
  return stop.signal;
}
