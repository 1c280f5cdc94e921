import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Log } from "../log.ts";

/** For Envoy's `--log-format`: level, thread, component and message, whose line ends it escapes, with tabs between. */
export const envoyLogFormat = "%l\t%t\t%n\t%_";

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
export function forwardEnvoyLog(
  stream: Readable,
  log: Log,
  onLine?: (line: EnvoyLogLine) => void,
): EnvoyLogTail {
  const lines: string[] = [];
  eachLine(stream, (text) => {
    const line = parseLine(text);
    const { level, component, message } = line;
    log[level]({ component }, message);
    onLine?.(line);
    if (level !== "warn" && level !== "error") return;
    lines.push(message);
    if (lines.length > keptLines) lines.shift();
  });
  return { lines };
}

/** A line of Envoy's log. */
export interface EnvoyLogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  /** The thread that wrote it, "" where that is not known. */
  readonly thread: string;
  readonly component: string;
  readonly message: string;
}

/** A line of another shape is what Envoy prints while it cannot log: usage errors, a fatal exception, a crashing V8. */
export function parseLine(line: string): EnvoyLogLine {
  const [, name = "", thread = "", component = "", message = ""] =
    /^(\w+)\t(\d+)\t([^\t]+)\t(.*)$/s.exec(line) ?? [];
  const level = levels[name];
  if (level === undefined) return { level: "error", thread, component: "stderr", message: line };
  return { level, thread, component, message };
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
