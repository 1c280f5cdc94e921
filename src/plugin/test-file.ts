import {
  type Cursor,
  type Decoder,
  type Decoders,
  enter,
  isObject,
  pathOf,
  reportMismatch,
  reportMissing,
} from "../resource/decoder.ts";
import { listOf, mapOf, oneOf, string } from "../resource/decoders.ts";
import type { Diagnostic } from "../resource/diagnostic.ts";
import { locate } from "../resource/locate.ts";
import { nearest } from "../resource/nearest.ts";
import type { JsonValue, Origin } from "../resource/types.ts";
import { loadYaml } from "../resource/yaml.ts";

/** A header as it is written: name and value. */
export type HeaderPair = readonly [string, string];

/** Headers, body and trailers of a request or response. A body that comes in several pieces is a list. */
export interface TestMessage {
  readonly headers: readonly HeaderPair[];
  readonly body?: readonly Uint8Array[];
  readonly trailers?: readonly HeaderPair[];
}

/** What a gRPC call gets beside metadata, which are the answer's headers and trailers. */
export interface TestGrpc {
  /** gRPC's; 0 is OK. */
  readonly status: number;
  readonly text: string;
  readonly messages: readonly Uint8Array[];
}

/** The answer to an `http_call` or, with `grpc`, to a `grpc_call` or `grpc_stream`; or why there is none. */
export interface TestCall {
  /** Only a call to this cluster is answered so; any unless given. */
  readonly upstream?: string;
  readonly status: number;
  readonly headers: readonly HeaderPair[];
  readonly body: Uint8Array;
  readonly trailers: readonly HeaderPair[];
  readonly grpc?: TestGrpc;
  /** The call fails: nobody answers in time. */
  readonly fails: boolean;
}

export interface ExpectedMessage {
  /** What the last callback of this direction answered. */
  readonly action?: "continue" | "pause";
  /** All headers in order, as the next filter gets them. */
  readonly headers?: readonly HeaderPair[];
  /** Some of the headers, in any order. */
  readonly hasHeaders?: readonly HeaderPair[];
  readonly body?: Uint8Array;
  readonly trailers?: readonly HeaderPair[];
}

export interface ExpectedLocal {
  readonly status?: number;
  readonly headers?: readonly HeaderPair[];
  readonly hasHeaders?: readonly HeaderPair[];
  readonly body?: Uint8Array;
  readonly details?: string;
}

export interface ExpectedCall {
  readonly upstream?: string;
  readonly headers?: readonly HeaderPair[];
  readonly hasHeaders?: readonly HeaderPair[];
  readonly body?: Uint8Array;
}

export interface ExpectedLog {
  readonly level?: LogLevelName;
  readonly contains?: string;
}

export type LogLevelName = "trace" | "debug" | "info" | "warn" | "error" | "critical";

/** What a case compares. What is left out is not looked at. */
export interface Expectation {
  readonly start?: "ok" | "failed";
  readonly request?: ExpectedMessage;
  readonly response?: ExpectedMessage;
  /** `none` where the plugin must not answer itself. */
  readonly local?: ExpectedLocal | "none";
  readonly calls?: readonly ExpectedCall[];
  readonly logs?: readonly ExpectedLog[];
  readonly metrics?: Readonly<Record<string, number>>;
  readonly properties?: Readonly<Record<string, string>>;
}

export interface PluginTestCase {
  readonly name: string;
  /** The plugin's configuration as it is handed over. */
  readonly config: string;
  /** Text, or bytes for what is none. */
  readonly properties: Readonly<Record<string, string | Uint8Array>>;
  readonly request?: TestMessage;
  readonly response?: TestMessage;
  readonly calls: readonly TestCall[];
  readonly expect: Expectation;
  /** Where the case stands, from 1. */
  readonly line: number;
  readonly column: number;
}

/** A plugin test file: cases for one module. */
export interface PluginTestFile {
  readonly file: string;
  /** A path below the file's folder, or an image. */
  readonly module?: string;
  readonly vmConfig: string;
  readonly env: Readonly<Record<string, string>>;
  readonly cases: readonly PluginTestCase[];
}

type Raw<T> = { -readonly [K in keyof T]?: T[K] };
type RawCase = Omit<Raw<PluginTestCase>, "config" | "line" | "column"> & { config?: JsonValue };
type RawFile = { module?: string; config?: JsonValue; vmConfig?: JsonValue; env?: Record<string, string> };

/** An object of a test file. Unlike in a resource an unknown field is an error: an expectation that nobody reads holds always. */
function fields<T extends object>(
  decoders: Decoders<T>,
  ...required: readonly (keyof T & string)[]
): Decoder<T> {
  const byName = new Map(Object.entries<Decoder<unknown>>(decoders));
  return (value, at) => {
    if (!isObject(value)) return reportMismatch(at, "an object", value);
    for (const name of required) if (!Object.hasOwn(value, name)) reportMissing(at, name);
    const result: Record<string, unknown> = {};
    for (const [key, found] of Object.entries(value)) {
      const decode = byName.get(key);
      if (!decode) reportUnknown(enter(at, key), key, byName.keys());
      else result[key] = decode(found, enter(at, key));
    }
    return result as T;
  };
}

function reportUnknown(at: Cursor, field: string, known: Iterable<string>): void {
  const names = [...known];
  const meant = nearest(field, names);
  at.problems.push({
    severity: "error",
    code: "UNKNOWN_FIELD",
    message: `unknown field ${JSON.stringify(field)}; expected one of ${names.join(", ")}`,
    path: pathOf(at),
    place: "key",
    hint: meant && `did you mean ${JSON.stringify(meant)}?`,
  });
}

/** A string, or a number or truth value that stands for its text. */
const text: Decoder<string> = (value, at) =>
  typeof value === "number" || typeof value === "boolean" ? String(value) : string(value, at);

const json: Decoder<JsonValue> = (value) => value as JsonValue;

const number: Decoder<number> = (value, at) =>
  typeof value === "number" && Number.isFinite(value) ? value : reportMismatch(at, "a number", value);

const flag: Decoder<boolean> = (value, at) =>
  typeof value === "boolean" ? value : reportMismatch(at, "true or false", value);

const status: Decoder<number> = (value, at) => {
  const code = Number(value);
  if (Number.isInteger(code) && code >= 100 && code <= 999) return code;
  return reportMismatch(at, "a status from 100 to 999", value);
};

const pair: Decoder<HeaderPair> = (value, at) => {
  if (!Array.isArray(value) || value.length !== 2)
    return reportMismatch(at, "a header as [name, value]", value);
  const [name, content] = value.map((item, index) => text(item, enter(at, index)));
  return name === undefined || content === undefined ? undefined : [name, content];
};

const pairs: Decoder<HeaderPair[]> = (value, at) => {
  if (!isObject(value)) return listOf(pair)(value, at);
  const byName = mapOf(text)(value, at);
  return byName && Object.entries(byName);
};

/** Text, or `{base64: …}` for what is none, such as a number. */
const property: Decoder<string | Uint8Array> = (value, at) =>
  isObject(value) ? bytes(value, at) : text(value, at);

/** Text in UTF-8, or `{base64: …}`. */
const bytes: Decoder<Uint8Array> = (value, at) => {
  if (isObject(value) && typeof value.base64 === "string" && Object.keys(value).length === 1)
    return Buffer.from(value.base64, "base64");
  const content = text(value, at);
  return content === undefined ? undefined : Buffer.from(content);
};

const chunks: Decoder<Uint8Array[]> = (value, at) => {
  if (Array.isArray(value)) return listOf(bytes)(value, at);
  const content = bytes(value, at);
  return content && [content];
};

const message = fields<TestMessage>({ headers: pairs, body: chunks, trailers: pairs }, "headers");

const grpcStatus: Decoder<number> = (value, at) =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 16
    ? (value as number)
    : reportMismatch(at, "a status of gRPC from 0 to 16", value);

const grpc: Decoder<TestGrpc> = (value, at) => {
  const found = fields<TestGrpc>({ status: grpcStatus, text, messages: chunks })(value, at);
  return found && { ...noError, ...found };
};

const noError = { status: 0, text: "", messages: [] };

const call: Decoder<TestCall> = (value, at) => {
  const found = fields<TestCall>({
    upstream: text,
    status,
    headers: pairs,
    body: bytes,
    trailers: pairs,
    grpc,
    fails: flag,
  })(value, at);
  return found && { ...noAnswer, ...found };
};

const noAnswer = { status: 200, headers: [], body: new Uint8Array(), trailers: [], fails: false };

const expectedMessage = fields<ExpectedMessage>({
  action: oneOf("continue", "pause"),
  headers: pairs,
  hasHeaders: pairs,
  body: bytes,
  trailers: pairs,
});

const expectedLocal = fields<ExpectedLocal>({
  status,
  headers: pairs,
  hasHeaders: pairs,
  body: bytes,
  details: text,
});

const local: Decoder<ExpectedLocal | "none"> = (value, at) =>
  value === "none" || value === null ? "none" : expectedLocal(value, at);

const expectation = fields<Expectation>({
  start: oneOf("ok", "failed"),
  request: expectedMessage,
  response: expectedMessage,
  local,
  calls: listOf(fields<ExpectedCall>({ upstream: text, headers: pairs, hasHeaders: pairs, body: bytes })),
  logs: listOf(
    fields<ExpectedLog>({
      level: oneOf("trace", "debug", "info", "warn", "error", "critical"),
      contains: text,
    }),
  ),
  metrics: mapOf(number),
  properties: mapOf(text),
});

const testCase = fields<RawCase>(
  {
    name: text,
    config: json,
    properties: mapOf(property),
    request: message,
    response: message,
    calls: listOf(call),
    expect: expectation,
  },
  "name",
  "expect",
);

const header = { module: text, config: json, vmConfig: json, env: mapOf(text) };
const testFile = fields<RawFile & { cases?: RawCase[] }>({ ...header, cases: listOf(testCase) }, "cases");

/** Reads a plugin test file. What is wrong with it, all of it, comes back as diagnostics; nothing is thrown. */
export function parseTestFile(
  source: string,
  file: string,
): { readonly tests?: PluginTestFile; readonly diagnostics: readonly Diagnostic[] } {
  const loaded = loadYaml(source);
  if ("problem" in loaded) {
    const { reason, line, column } = loaded.problem;
    const at = { file, line, column };
    return { diagnostics: [{ severity: "error", code: "YAML_SYNTAX", message: reason, at }] };
  }
  const cursor: Cursor = { problems: [] };
  const raw = testFile(loaded.value, cursor);
  const origin: Origin = { file, line: 1, text: source };
  const diagnostics = cursor.problems.map(({ path, place, ...problem }) => ({
    ...problem,
    at: { path, file, ...locate(origin, path, place) },
  }));
  return raw && diagnostics.length === 0 ? { tests: complete(raw, origin), diagnostics } : { diagnostics };
}

function complete(raw: RawFile & { cases?: RawCase[] }, origin: Origin): PluginTestFile {
  const { module, env = {}, config, vmConfig, cases = [] } = raw;
  return {
    file: origin.file,
    ...(module !== undefined && { module }),
    vmConfig: configurationText(vmConfig),
    env,
    cases: cases.map((one, index) => completeCase(one, config, locate(origin, ["cases", index]))),
  };
}

type Place = Pick<PluginTestCase, "line" | "column">;

function completeCase(raw: RawCase, shared: JsonValue | undefined, { line, column }: Place): PluginTestCase {
  const { name = "", config = shared, properties = {}, calls = [], expect = {}, ...messages } = raw;
  return { ...messages, name, config: configurationText(config), properties, calls, expect, line, column };
}

/** A text is handed over as it is; anything else as JSON, as it would come from a WasmPlugin; nothing as nothing. */
function configurationText(config: JsonValue | undefined): string {
  if (config === undefined || config === null) return "";
  return typeof config === "string" ? config : JSON.stringify(config);
}
