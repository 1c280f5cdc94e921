import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Log } from "../log.ts";

/** For Envoy's `--log-format`: level, component and message, whose line ends it escapes, with tabs between. */
export const envoyLogFormat = "%l\t%n\t%_";

const maxLineLength = 16 * 1024;
const keptLines = 5;

const levels: Readonly<Record<string, "debug" | "info" | "warn" | "error">> = {
  trace: "debug",
  debug: "debug",
  info: "info",
  warning: "warn",
  error: "error",
  critical: "error",
};

/** What Envoy said last, of warnings and above, and of what it wrote in no format: why it ended. */
export interface EnvoyLogTail {
  readonly lines: readonly string[];
}

/** Writes Envoy's log into ours, with its levels and its component. Lines that are too long are cut. */
export function forwardEnvoyLog(stream: Readable, log: Log): EnvoyLogTail {
  const lines: string[] = [];
  eachLine(stream, (line) => {
    const { level, component, message } = parseLine(line);
    log[level]({ component }, message);
    if (level !== "warn" && level !== "error") return;
    lines.push(message);
    if (lines.length > keptLines) lines.shift();
  });
  return { lines };
}

interface EnvoyLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly component: string;
  readonly message: string;
}

/** A line of another shape is what Envoy prints while it cannot log: usage errors, a fatal exception, a crashing V8. */
export function parseLine(line: string): EnvoyLogLine {
  const [, name, component, message] = /^(\w+)\t([^\t]+)\t(.*)$/s.exec(line) ?? [];
  const level = name === undefined ? undefined : levels[name];
  if (level === undefined || component === undefined || message === undefined)
    return { level: "error", component: "stderr", message: line };
  return { level, component, message };
}

function eachLine(stream: Readable, take: (line: string) => void): void {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  const emit = (line: string) => {
    if (line.trim() !== "") take(line.length > maxLineLength ? `${line.slice(0, maxLineLength)}…` : line);
  };
  stream.on("data", (chunk: Buffer) => {
    const lines = (rest + decoder.write(chunk)).split("\n");
    // One more than the limit is kept, so that the cut shows.
    rest = lines.pop()!.slice(0, maxLineLength + 1);
    lines.forEach(emit);
  });
  stream.on("end", () => emit(rest));
}
