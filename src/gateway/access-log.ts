import { createWriteStream, type WriteStream } from "node:fs";
import { type Format, type FormatValues, formatText } from "./format.ts";
import type { AccessLog, JsonFormat, JsonFormatValue } from "./gateway-config.ts";
import type { HttpStream } from "./http-stream.ts";
import { valuesOf } from "./stream-values.ts";

/** Writes a line for each stream that has ended. */
export interface AccessLogs {
  write(stream: HttpStream): void;
  /** Opens files anew, as after somebody has moved them. */
  reopen(): void;
  close(): void;
}

interface Sink {
  write(line: string): unknown;
}

/** What waits for a slow disk; lines beyond it are dropped, as in Envoy. */
const maxWaitingBytes = 16 * 1024 * 1024;

export function createAccessLogs(): AccessLogs {
  const files = new Map<string, WriteStream>();
  return {
    write(stream) {
      const { accessLogs } = stream.plan.http;
      if (accessLogs.length === 0) return;
      const values = valuesOf(stream);
      for (const log of accessLogs)
        if (!log.passes || log.passes(stream)) sinkOf(log.to).write(logLine(log, values));
    },
    reopen: end,
    close: end,
  };

  function end(): void {
    for (const file of files.values()) file.end();
    files.clear();
  }

  function sinkOf(to: AccessLog["to"]): Sink {
    if (to.kind === "file") return fileOf(to.path);
    return to.kind === "stdout" ? process.stdout : process.stderr;
  }

  function fileOf(path: string): Sink {
    let file = files.get(path);
    if (!file) {
      file = createWriteStream(path, { flags: "a" });
      file.on("error", () => files.delete(path));
      files.set(path, file);
    }
    return file.writableLength > maxWaitingBytes ? { write() {} } : file;
  }
}

/** The line of a stream, with its line break. */
export function logLine(log: LogFormat, values: FormatValues): string {
  const { format, missing } = log;
  if (format.kind === "text") return formatText(format.format, values, missing);
  return `${JSON.stringify(jsonOf(format.fields, values, log))}\n`;
}

type LogFormat = Pick<AccessLog, "format" | "missing" | "omitEmpty">;

function jsonOf(fields: JsonFormat, values: FormatValues, log: LogFormat): Record<string, unknown> {
  const made: Record<string, unknown> = {};
  // As Envoy: in the order of their names.
  for (const name of Object.keys(fields).sort()) {
    const value = fieldValue(fields[name]!, values, log);
    if (!log.omitEmpty || !isEmpty(value)) made[name] = value;
  }
  return made;
}

/** Nothing, or an object that nothing is left of. */
function isEmpty(value: unknown): boolean {
  return value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

function fieldValue(field: JsonFormatValue, values: FormatValues, log: LogFormat): unknown {
  switch (field.kind) {
    case "literal":
      return field.value;
    case "object":
      return jsonOf(field.fields, values, log);
    case "list":
      return field.items
        .map((item) => fieldValue(item, values, log))
        .filter((value) => !log.omitEmpty || !isEmpty(value));
    case "format":
      return formattedValue(field.format, values, log.missing);
  }
}

/** A number stays one where it stands alone. */
function formattedValue(format: Format, values: FormatValues, missing: string): unknown {
  const [only, ...more] = format.parts;
  if (more.length > 0 || only === undefined || typeof only === "string")
    return formatText(format, values, missing);
  const value = values(only);
  if (value === undefined) return null;
  return typeof value === "number" || only.maxLength === undefined ? value : value.slice(0, only.maxLength);
}
