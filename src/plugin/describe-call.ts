import { deserializeMap } from "../proxy-wasm/header-map-codec.ts";
import {
  BodyAction,
  BufferType,
  HeadersAction,
  LogLevel,
  MapType,
  MetricKind,
  Status,
  StreamType,
} from "../proxy-wasm/index.ts";
import { type ArgumentKind, argumentKinds, parameterNames } from "./call-shapes.ts";
import { headerPairs } from "./case-text.ts";

/** A number as it comes over the boundary. */
export type Parameter = number | bigint;

const longestText = 120;
const mostPairs = 20;

/** `request headers` for `RequestHeaders`. */
function namesOf(values: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  const words = (name: string) => name.replace(/(?<=[a-z])[A-Z]/g, (letter) => ` ${letter}`).toLowerCase();
  return new Map(Object.entries(values).map(([name, value]) => [value, words(name)]));
}

const statusNames = namesOf(Status);
const headersActions = namesOf(HeadersAction);
const bodyActions = namesOf(BodyAction);
const enumNames: Readonly<Partial<Record<ArgumentKind, ReadonlyMap<number, string>>>> = {
  level: namesOf(LogLevel),
  map: namesOf(MapType),
  buffer: namesOf(BufferType),
  stream: namesOf(StreamType),
  metric: namesOf(MetricKind),
};

interface Argument {
  readonly kind: ArgumentKind;
  readonly numbers: readonly Parameter[];
}

/** What a guest hands to a host function: `proxy_add_header_map_value(request headers, "a", "1")`. */
export function describeHostCall(
  module: string,
  name: string,
  parameters: readonly Parameter[],
  memory: Uint8Array | undefined,
): string {
  const given = module === "env" ? splitArguments(name, parameters) : undefined;
  const shown = given
    ? given.filter(({ kind }) => !kind.startsWith("out")).map((each) => describeArgument(each, memory))
    : parameters.map(String);
  return `${module === "env" ? "" : `${module}.`}${name}(${shown.join(", ")})`;
}

/** What came back: a status, and the values where it is fine. */
export function describeHostResult(
  module: string,
  name: string,
  parameters: readonly Parameter[],
  result: Parameter | undefined,
  memory: Uint8Array | undefined,
): string {
  if (module !== "env") return String(result ?? "nothing");
  const status = statusNames.get(Number(result)) ?? String(result);
  const values = (splitArguments(name, parameters) ?? []).filter(({ kind }) => kind.startsWith("out"));
  if (result !== Status.Ok || values.length === 0) return status;
  return [status, ...values.map((each) => describeOut(each, memory))].join(" ");
}

/** `proxy_on_request_headers(context 2, headers 4, end 1)`. */
export function describeCallback(name: string, parameters: readonly Parameter[]): string {
  const named = parameterNames(name).map((each, i) => `${each} ${parameters[i] ?? 0}`);
  return `${name}(${named.join(", ")})`;
}

/** What a callback answered; undefined for those that answer nothing. */
export function describeAnswer(name: string, result: Parameter | undefined): string | undefined {
  if (result === undefined) return undefined;
  const value = Number(result);
  if (/_on_(vm_start|configure|done)$|validate_configuration$/.test(name)) return String(value !== 0);
  if (/_(request|response)_headers$/.test(name)) return headersActions.get(value) ?? String(value);
  if (/_(request|response)_body$/.test(name)) return bodyActions.get(value) ?? String(value);
  if (/_(trailers|new_connection|(down|up)stream_data)$/.test(name))
    return value === 0 ? "continue" : "pause";
  return String(value);
}

function splitArguments(name: string, parameters: readonly Parameter[]): readonly Argument[] | undefined {
  const kinds = argumentKinds(name);
  if (!kinds) return undefined;
  let at = 0;
  return kinds.map((kind) => {
    const size = /^(text|pairs|path|secret|outText|outPairs)$/.test(kind) ? 2 : 1;
    at += size;
    return { kind, numbers: parameters.slice(at - size, at) };
  });
}

function describeArgument({ kind, numbers }: Argument, memory: Uint8Array | undefined): string {
  const [first = 0, second = 0] = numbers;
  const name = enumNames[kind]?.get(Number(first));
  if (name !== undefined) return name;
  if (kind === "ms") return `${first} ms`;
  if (kind === "secret") return "***";
  if (numbers.length < 2) return String(first);
  return describeBytes(kind, memory, Number(first), Number(second));
}

function describeOut({ kind, numbers }: Argument, memory: Uint8Array | undefined): string {
  const [first = 0, second = 0] = numbers.map(Number);
  if (kind === "outInt") return String(readInt(memory, first));
  if (kind === "outLong") return String(readLong(memory, first));
  // A guest may want neither.
  if (first === 0) return "nothing";
  return describeBytes(kind, memory, readInt(memory, first) ?? 0, readInt(memory, second) ?? 0);
}

function describeBytes(kind: ArgumentKind, memory: Uint8Array | undefined, at: number, size: number): string {
  const [start, length] = [at >>> 0, size >>> 0];
  if (!memory || start + length > memory.length) return `(no memory at ${start}, ${length} bytes)`;
  const bytes = Buffer.from(memory.buffer, memory.byteOffset + start, length);
  if (kind === "pairs" || kind === "outPairs") return describePairs(bytes);
  return kind === "path"
    ? quote(bytes.toString("latin1").replace(/\0$/, "").replaceAll("\0", "."))
    : describeText(bytes);
}

function describePairs(bytes: Buffer): string {
  const lines = deserializeMap(bytes);
  if (!lines) return `(no map: ${bytes.length} bytes)`;
  const shown = headerPairs(lines.slice(0, mostPairs)).map(([name, value]) => `${name}: ${quote(value)}`);
  const rest = lines.length - shown.length;
  return `{${shown.join(", ")}${rest > 0 ? `, and ${rest} more` : ""}}`;
}

function describeText(bytes: Buffer): string {
  const text = bytes.toString();
  if (Buffer.from(text).equals(bytes) && !/[^\P{Cc}\t\n\r]/u.test(text)) return quote(text);
  const shown = bytes.subarray(0, 32).toString("hex");
  return `${bytes.length} bytes ${shown}${bytes.length > 32 ? "…" : ""}`;
}

function quote(text: string): string {
  if (text.length <= longestText) return JSON.stringify(text);
  return `${JSON.stringify(text.slice(0, longestText))}… (${text.length})`;
}

function readInt(memory: Uint8Array | undefined, at: number): number | undefined {
  const view = viewOf(memory, at, 4);
  return view?.getUint32(0, true);
}

function readLong(memory: Uint8Array | undefined, at: number): bigint | undefined {
  return viewOf(memory, at, 8)?.getBigUint64(0, true);
}

function viewOf(memory: Uint8Array | undefined, at: number, size: number): DataView | undefined {
  const start = at >>> 0;
  if (!memory || start + size > memory.length) return undefined;
  return new DataView(memory.buffer, memory.byteOffset + start, size);
}
