import type { Log } from "../../log.ts";
import type { LogMethod, WorkerMessage } from "./messages.ts";

/** A log whose lines the main thread writes. */
export function createPostedLog(post: (message: WorkerMessage) => void, own: object = {}): Log {
  const write = (level: LogMethod) => (fields: object, message: string) =>
    post({ kind: "log", level, fields: { ...own, ...fields }, message });
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => createPostedLog(post, { ...own, ...fields }),
  };
}
