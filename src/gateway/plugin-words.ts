import { LogLevel, type Outside } from "../proxy-wasm/index.ts";
import { errorText, SystemError } from "../system-error.ts";

/** What plugins say while they start, for who wants to know why one does not. */
export interface PluginWords {
  /** What it returns. What it throws begins with what plugins complained about meanwhile. */
  during<T>(run: () => T): T;
}

const keptLines = 3;
const maxLineLength = 500;

/** Listens to what is logged to an outside. */
export function createPluginWords(outside: Outside): {
  readonly outside: Outside;
  readonly words: PluginWords;
} {
  let heard: string[] = [];
  return {
    outside: {
      ...outside,
      log(record) {
        if (!record.ofHost && record.level >= LogLevel.Warn)
          heard = [...heard, readable(record.message)].slice(-keptLines);
        outside.log(record);
      },
    },
    words: {
      during(run) {
        heard = [];
        try {
          return run();
        } catch (error) {
          throw new SystemError("plugin-start", [...heard, errorText(error)].join("; "), error);
        }
      },
    },
  };
}

/** One line without control characters, of bounded length. */
function readable(message: string): string {
  const text = message.replace(/\p{Cc}/gu, " ").trim();
  return text.length > maxLineLength ? `${text.slice(0, maxLineLength)}…` : text;
}
