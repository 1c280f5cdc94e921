import { showText } from "../../../src/proxy-wasm/memory.ts";
import type { LogResult } from "../case-result.ts";

/** A line of Envoy's log: which thread wrote it, at which level, by which component, what. */
export interface LogLine {
  readonly thread: string;
  readonly level: string;
  readonly component: string;
  readonly text: string;
}

/** Envoy's `--log-format` that `parseLine` reads; used with `--log-format-escaped`, so that each message is one line. */
export const logFormat = "@|%t|%l|%n|%v";

/** A line of the log; undefined for what is no log line. */
export function parseLine(line: string): LogLine | undefined {
  const match = /^@\|(\d+)\|(\w+)\|(\w+)\|(.*)$/s.exec(line);
  if (!match) return undefined;
  const [, thread, level, component, text] = match;
  return { thread: thread!, level: level!, component: component!, text: unescapeText(text!) };
}

const escapes: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t" };

/** Undoes what `--log-format-escaped` does, C escapes with octal digits for bytes; bytes that are no UTF-8 are shown as Latin-1. */
function unescapeText(text: string): string {
  if (!text.includes("\\")) return text;
  const bytes = text.replace(/\\(?:([0-7]{3})|(.))/gs, (_, octal?: string, letter?: string) =>
    octal ? String.fromCharCode(Number.parseInt(octal, 8)) : (escapes[letter!] ?? letter!),
  );
  return showText(Buffer.from(bytes, "latin1"));
}

/** spdlog's names of levels, as proxy-wasm has them. */
const levels: Readonly<Record<string, string>> = { warning: "warn", err: "error" };

/**
 * A line that a plugin wrote. Envoy puts the plugin's name and its VM's id before it, or the root id and the VM's id when
 * the plugin's own context wrote it; what is empty is left out.
 */
export function guestLine({ level, text }: LogLine, ids: readonly string[]): LogResult | undefined {
  const match = /^wasm log((?: [^\s:]+)*): (.*)$/s.exec(text);
  if (
    !match ||
    !match[1]!
      .trim()
      .split(" ")
      .some((part) => ids.includes(part))
  )
    return undefined;
  return { level: levels[level] ?? level, message: match[2]! };
}
