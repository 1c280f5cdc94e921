import type {
  RecordedDirection,
  RecordedHeader,
  RecordedMessage,
  Recording,
} from "../../proxy-wasm/index.ts";
import type { JsonObject, JsonValue } from "../../resource/types.ts";
import { headerPairs } from "../case-text.ts";

/** A case of a plugin test file, as it is written there, beside the configuration that it ran with. */
export interface RecordedCase {
  readonly name: string;
  readonly config: JsonValue;
  readonly vmConfig: JsonValue;
  readonly inputs: JsonObject;
  readonly expect: JsonObject;
}

/** Makes a case of a recording: what the plugin got goes in, what it did is expected. */
export function caseOfRecording(recording: Recording): RecordedCase {
  const { request, response, calls, local, rootId } = recording;
  const properties = {
    ...(rootId !== "" && { plugin_root_id: rootId }),
    ...mapValues(recording.properties, (value) => textOrBytes(Buffer.from(value, "base64"))),
  };
  const answers = calls.map(({ upstream, answer }) => ({
    upstream,
    ...(answer ? answerOf(answer) : { fails: true }),
  }));
  return {
    name: nameOf(recording),
    config: configOf(recording.config),
    vmConfig: configOf(recording.vmConfig),
    inputs: {
      ...(Object.keys(properties).length > 0 && { properties }),
      request: messageOf(request.before),
      ...(response && { response: messageOf(response.before) }),
      ...(answers.length > 0 && { calls: answers }),
    },
    expect: {
      request: outcomeOf(request),
      ...(response && !local && { response: outcomeOf(response) }),
      local: local
        ? {
            status: local.status,
            headers: pairs(local.headers),
            ...bodyOf([local.body]),
            details: local.details,
          }
        : "none",
      ...(calls.length > 0 && {
        calls: calls.map(({ upstream, headers, body }) => ({
          upstream,
          headers: pairs(headers),
          ...bodyOf([body]),
        })),
      }),
    },
  };
}

function nameOf({ request, response, local }: Recording): string {
  const value = (name: string) => request.before.headers.find((line) => line[0] === name)?.[1] ?? "";
  const status =
    local?.status ?? response?.before.headers.find(([name]) => name === ":status")?.[1] ?? "none";
  const path = value(":path").replace(/\?.*$/s, "");
  return `recorded: ${value(":method")} ${value(":authority")}${path}, ${status}`.replace(
    /[^\x20-\x7e]/g,
    "?",
  );
}

/** An object where it is one, so that people can read and change it. */
function configOf(config: string): JsonValue {
  const text = Buffer.from(config, "base64").toString();
  try {
    const value = JSON.parse(text) as JsonValue;
    return JSON.stringify(value) === text && typeof value === "object" ? value : text;
  } catch {
    return text;
  }
}

function messageOf({ headers, body, trailers }: RecordedMessage): JsonObject {
  return {
    headers: pairs(headers),
    ...bodyOf(body),
    ...(trailers && trailers.length > 0 && { trailers: pairs(trailers) }),
  };
}

function answerOf(answer: RecordedMessage): JsonObject {
  const status = Number(answer.headers.find(([name]) => name === ":status")?.[1]);
  const headers = answer.headers.filter(([name]) => name !== ":status");
  return { status, ...messageOf({ ...answer, headers }) };
}

/** What the next filter got. */
function outcomeOf({ action, before, behind }: RecordedDirection): JsonObject {
  if (!behind) return { action };
  const hasBody = before.body.length > 0 || behind.body.length > 0;
  const whole = Buffer.concat(behind.body.map((piece) => Buffer.from(piece, "base64")));
  return {
    action,
    headers: pairs(behind.headers),
    ...(hasBody && { body: textOrBytes(whole) }),
    ...(behind.trailers && behind.trailers.length > 0 && { trailers: pairs(behind.trailers) }),
  };
}

function bodyOf(pieces: readonly string[]): JsonObject {
  const values = pieces
    .filter((piece) => piece !== "")
    .map((piece) => textOrBytes(Buffer.from(piece, "base64")));
  if (values.length === 0) return {};
  return { body: values.length === 1 ? values[0]! : values };
}

function textOrBytes(bytes: Buffer): JsonValue {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString("base64") };
}

function pairs(headers: readonly RecordedHeader[]): JsonValue {
  return headerPairs(headers).map(([name, value]) => [name, value]);
}

function mapValues<T, U>(values: Readonly<Record<string, T>>, map: (value: T) => U): Record<string, U> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, map(value)]));
}
