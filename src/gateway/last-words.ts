import { LRUCache } from "lru-cache";
import { LogLevel, type LogRecord } from "../proxy-wasm/index.ts";

/** What each plugin complained about last: SDKs write an error when they panic or abort, and then trap. */
export interface LastWords {
  note(record: LogRecord): void;
  /** The reason of a trap, with what the plugin said before it. */
  explain(plugin: string, reason: string): string;
}

const maxLength = 500;
const maxPlugins = 1000;

export function createLastWords(): LastWords {
  const words = new LRUCache<string, string>({ max: maxPlugins });
  return {
    note({ plugin, level, message, ofHost, ofCanary }) {
      if (ofHost || ofCanary) return;
      if (level >= LogLevel.Error) words.set(plugin, readable(message));
      else words.delete(plugin);
    },
    explain(plugin, reason) {
      const own = words.get(plugin);
      return own === undefined ? readable(reason) : `${readable(reason)}; ${own}`;
    },
  };
}

/** One line without control characters, of bounded length. */
function readable(message: string): string {
  const text = message.replace(/\p{Cc}+/gu, " ").trim();
  return text.length > maxLength ? `${text.slice(0, maxLength)}…` : text;
}
