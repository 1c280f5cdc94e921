import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { AccessLog as AccessLogMessage } from "../gen/envoy/config/accesslog/v3/accesslog_pb.ts";
import type { SubstitutionFormatString } from "../gen/envoy/config/core/v3/substitution_format_string_pb.ts";
import { FileAccessLogSchema } from "../gen/envoy/extensions/access_loggers/file/v3/file_pb.ts";
import {
  StderrAccessLogSchema,
  StdoutAccessLogSchema,
} from "../gen/envoy/extensions/access_loggers/stream/v3/stream_pb.ts";
import { dataBytes } from "./data-source.ts";
import { decodeAny } from "./decode-any.ts";
import { messageName } from "./filter-config.ts";
import { parseFormat } from "./format.ts";
import type { AccessLog, AccessLogFormat, JsonFormat, JsonFormatValue } from "./gateway-config.ts";
import { compileLogFilter } from "./log-filter.ts";
import { refuse, within } from "./refused-config.ts";

/** Envoy's default format. */
const defaultFormat =
  '[%START_TIME%] "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%" %RESPONSE_CODE% %RESPONSE_FLAGS% ' +
  '%BYTES_RECEIVED% %BYTES_SENT% %DURATION% %RESP(X-ENVOY-UPSTREAM-SERVICE-TIME)% "%REQ(X-FORWARDED-FOR)%" ' +
  '"%REQ(USER-AGENT)%" "%REQ(X-REQUEST-ID)%" "%REQ(:AUTHORITY)%" "%UPSTREAM_HOST%"\n';

/** Compiles an access log: to a file, or to one of the standard streams. */
export function compileAccessLog(log: AccessLogMessage): AccessLog {
  const { filter } = log;
  const passes = filter && within("filter", () => compileLogFilter(filter));
  return { ...compileLogger(log), passes };
}

function compileLogger({ name, configType }: AccessLogMessage): Omit<AccessLog, "passes"> {
  const any = configType.value;
  if (!any) return refuse("typed_config", "is required");
  switch (messageName(any)) {
    case FileAccessLogSchema.typeName: {
      const { path, accessLogFormat: by } = decodeAny(FileAccessLogSchema, any);
      if (path === "") refuse("path", "value length must be at least 1 characters");
      const to = { kind: "file", path } as const;
      if (by.case === "logFormat") return { to, ...compileLogFormat(by.value) };
      if (by.case === "jsonFormat" || by.case === "typedJsonFormat") return { to, ...jsonFormat(by.value) };
      return { to, ...textFormat(by.value ?? "") };
    }
    case StdoutAccessLogSchema.typeName:
      return {
        to: { kind: "stdout" },
        ...compileLogFormat(decodeAny(StdoutAccessLogSchema, any).accessLogFormat.value),
      };
    case StderrAccessLogSchema.typeName:
      return {
        to: { kind: "stderr" },
        ...compileLogFormat(decodeAny(StderrAccessLogSchema, any).accessLogFormat.value),
      };
    default:
      return refuse(
        "typed_config",
        `Didn't find a registered implementation for '${name}' with type URL: '${messageName(any)}'`,
      );
  }
}

type Compiled = Pick<AccessLog, "format" | "missing" | "omitEmpty">;

function compileLogFormat(format: SubstitutionFormatString | undefined): Compiled {
  const by = format?.format;
  if (format && format.formatters.length > 0) refuse("log_format.formatters", "are not supported");
  const omitEmpty = format?.omitEmptyValues ?? false;
  const missing = omitEmpty ? "" : "-";
  if (by?.case === "jsonFormat") return { ...jsonFormat(by.value), missing, omitEmpty };
  if (by?.case === "textFormatSource") {
    return { ...textFormat(Buffer.from(dataBytes(by.value)).toString("utf8")), missing, omitEmpty };
  }
  return { ...textFormat(by?.value ?? ""), missing, omitEmpty };
}

function textFormat(text: string): Compiled {
  const format: AccessLogFormat = {
    kind: "text",
    format: within("text_format", () => parseFormat(text === "" ? defaultFormat : text)),
  };
  return { format, missing: "-", omitEmpty: false };
}

function jsonFormat(fields: JsonObject): Compiled {
  return {
    format: { kind: "json", fields: within("json_format", () => compileFields(fields)) },
    missing: "-",
    omitEmpty: false,
  };
}

function compileFields(fields: JsonObject): JsonFormat {
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, within(name, () => compileField(value))]),
  );
}

function compileField(value: JsonValue): JsonFormatValue {
  if (typeof value === "string") return { kind: "format", format: parseFormat(value) };
  if (Array.isArray(value))
    return { kind: "list", items: value.map((item, at) => within(`[${at}]`, () => compileField(item))) };
  if (typeof value === "object" && value !== null) return { kind: "object", fields: compileFields(value) };
  return { kind: "literal", value };
}
