import { pino } from "pino";

/** Structured logging for people and machines. Goes to stderr: stdout is for data. Never pass it secrets. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Log;
}

export interface LogOptions {
  readonly level?: string;
  /** `json`: one object a line. `text`: `time level role message key=value …`. */
  readonly format?: "json" | "text";
}

/** The log of one process. Roles take children of it: `log.child({ role: "core" })`. */
export function createLog({ level = "info", format = "text" }: LogOptions = {}): Log {
  const destination =
    format === "json"
      ? process.stderr
      : { write: (line: string) => void process.stderr.write(textLine(JSON.parse(line))) };
  return pino({ level, base: null, formatters: { level: (label) => ({ level: label }) } }, destination);
}

/** A log that drops everything, for tests and for commands that print their own messages. */
export const silentLog: Log = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLog,
};

/** Changes what a log writes from now on: `trace` to `fatal`, or `silent`. Logs that were made of it keep their level. */
export function setLogLevel(log: Log, level: string): void {
  if ("level" in log) log.level = level;
}

function textLine({ level, time, role, msg, ...fields }: Record<string, unknown>): string {
  const rest = Object.entries(fields).map(([key, value]) => ` ${key}=${textOf(value)}`);
  const clock = new Date(Number(time)).toISOString().slice(11, 23);
  return `${clock} ${String(level).padEnd(5)} ${role ? `${role}: ` : ""}${msg}${rest.join("")}\n`;
}

/** Strings as they are, unless they would break the line or speak to the terminal. */
function textOf(value: unknown): string {
  return typeof value === "string" && !/\p{Cc}/u.test(value) ? value : JSON.stringify(value);
}
