import { section, text } from "./hand-made-module.ts";

/**
 * A number; a text, whose address and size are two arguments; what an address holds; a parameter of the callback; the
 * address where a result's pointer and behind it its size go.
 */
export type Argument =
  | number
  | bigint
  | string
  | { readonly at: number }
  | { readonly parameter: number }
  | "OUT"
  | "OUT_SIZE";

/** What a callback does, one after the other. */
export type Step =
  | { readonly call: string; readonly with: readonly Argument[] }
  /** Calls, and logs the status as a letter (A is 0) and, after A, what came back. */
  | { readonly show: string; readonly with: readonly Argument[] }
  | { readonly give: number }
  | { readonly grow: number }
  | { readonly trapIfParameter: number; readonly is: number }
  | "trap"
  | "loop"
  | "recurse";

export interface GuestOptions {
  readonly abi?: string;
  /** By export; the number of parameters is the ABI's. */
  readonly callbacks: Readonly<Record<string, readonly Step[]>>;
  readonly maxPages?: number;
  /** What the guest does before anything else. */
  readonly start?: readonly Step[];
}

/** Where a host function writes what it gives, and where a status is put to be logged. */
export const out = 16;
export const outSize = 20;
const statusAt = 24;
const dataAt = 1024;
const heapAt = 65_536;
const heapEnd = 2 * 65_536 - 8192;

const parameterCounts: Readonly<Record<string, number>> = {
  on_context_create: 2,
  envoy_on_resolve_dns: 3,
  on_vm_start: 2,
  on_configure: 2,
  on_queue_ready: 2,
  on_foreign_function: 3,
  on_request_headers: 3,
  on_request_body: 3,
  on_request_trailers: 2,
  on_response_headers: 3,
  on_response_body: 3,
  on_response_trailers: 2,
  on_http_call_response: 5,
  on_grpc_receive_initial_metadata: 3,
  on_grpc_receive: 3,
  on_grpc_receive_trailing_metadata: 3,
  on_grpc_close: 3,
  on_redis_call_response: 4,
  on_downstream_data: 3,
  on_upstream_data: 3,
  on_downstream_connection_close: 2,
  on_upstream_connection_close: 2,
};
/** The first ABI tells headers callbacks nothing of the end of the stream. */
function parameterCountOf(name: string, abi: string): number {
  return abi === "0.1.0" && /_headers$/.test(name) ? 2 : (parameterCounts[name] ?? 1);
}

const withResult =
  /^on_(vm_start|configure|done|new_connection|(request|response)_(headers|body|trailers)|(down|up)stream_data)$/;

/** A plugin that does what is written: put together from bytes, so that a test sees all of it. */
export function guestModule({ abi = "0.2.1", callbacks, maxPages, start }: GuestOptions): Uint8Array {
  const data: number[] = [];
  const types: string[] = [];
  const imports = [{ name: "proxy_log", type: typeOf(types, "iii", true) }];
  const bodies: { name: string; parameters: number; steps: readonly Step[] }[] = [];
  for (const [name, steps] of Object.entries(callbacks))
    bodies.push({ name, parameters: parameterCountOf(name, abi), steps });
  if (start) bodies.push({ name: "_initialize", parameters: 0, steps: start });
  for (const { steps } of bodies)
    for (const step of steps)
      if (typeof step === "object" && ("call" in step || "show" in step)) importOf(step);
  const mallocType = typeOf(types, "i", true);
  const markerType = typeOf(types, "", false);
  const declared = bodies.map((each) =>
    typeOf(types, "i".repeat(each.parameters), withResult.test(each.name)),
  );
  const malloc = imports.length;
  const functions = [mallocType, markerType, ...declared];
  const code = [
    mallocBody(),
    [0, 0x0b],
    ...bodies.map((body, i) => [
      0,
      ...body.steps.flatMap((step) => encode(step, malloc + 2 + i)),
      ...ending(body.name),
      0x0b,
    ]),
  ];
  const exported = [
    [...text("memory"), 2, 0],
    [...text("malloc"), 0, ...size(malloc)],
    [...text(`proxy_abi_version_${abi.replaceAll(".", "_")}`), 0, ...size(malloc + 1)],
    ...bodies.map(({ name }, i) => [...text(exportOf(name)), 0, ...size(malloc + 2 + i)]),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, list(types.map(encodeType))),
    ...section(2, list(imports.map(({ name, type }) => [...text("env"), ...text(name), 0, ...size(type)]))),
    ...section(3, list(functions.map(size))),
    ...section(5, [1, ...(maxPages === undefined ? [0, 2] : [1, 2, ...size(maxPages)])]),
    ...section(6, [1, 0x7f, 1, 0x41, ...signed(heapAt), 0x0b]),
    ...section(7, list(exported)),
    ...section(10, list(code.map((body) => [...size(body.length), ...body]))),
    ...section(11, [1, 0, 0x41, ...signed(dataAt), 0x0b, ...size(data.length), ...data]),
  ]);

  function importOf(
    step: { call: string; with: readonly Argument[] } | { show: string; with: readonly Argument[] },
  ): number {
    const name = "call" in step ? step.call : step.show;
    const known = imports.findIndex((each) => each.name === name);
    if (known >= 0) return known;
    const letters = step.with.map(lettersOf).join("");
    return imports.push({ name, type: typeOf(types, letters, true) }) - 1;
  }

  function encode(step: Step, self: number): number[] {
    if (step === "trap") return [0x00];
    if (step === "loop") return [0x03, 0x40, 0x0c, 0, 0x0b];
    if (step === "recurse") return [...selfArguments(self), 0x10, ...size(self), 0x1a];
    if ("give" in step) return [0x41, ...signed(step.give), 0x0f];
    if ("trapIfParameter" in step)
      return [0x20, step.trapIfParameter, 0x41, ...signed(step.is), 0x46, 0x04, 0x40, 0x00, 0x0b];
    if ("grow" in step) return [0x41, ...signed(step.grow), 0x40, 0, 0x1a];
    const call = [...step.with.flatMap(argument), 0x10, ...size(importOf(step))];
    return "call" in step ? [...call, 0x1a] : shown(call);
  }

  function selfArguments(self: number): number[] {
    const { parameters } = bodies[self - malloc - 2]!;
    return Array.from({ length: parameters }, (_, i) => [0x20, i]).flat();
  }

  /** Logs the status; when it is 0, what pointer and size at `out` say. */
  function shown(call: readonly number[]): number[] {
    const load = (at: number) => [0x41, ...signed(at), 0x28, 2, 0];
    const log = (at: readonly number[], length: readonly number[]) => [
      0x41,
      2,
      ...at,
      ...length,
      0x10,
      0,
      0x1a,
    ];
    return [
      ...[0x41, ...signed(out), 0x41, 0, 0x36, 2, 0, 0x41, ...signed(outSize), 0x41, 0, 0x36, 2, 0],
      ...[0x41, ...signed(statusAt), ...call, 0x41, ...signed(65), 0x6a, 0x36, 2, 0],
      ...log([0x41, ...signed(statusAt)], [0x41, 1]),
      ...load(statusAt),
      ...[
        0x41,
        ...signed(65),
        0x46,
        0x04,
        0x40,
        ...load(outSize),
        0x04,
        0x40,
        ...log(load(out), load(outSize)),
        0x0b,
        0x0b,
      ],
    ];
  }

  function argument(value: Argument): number[] {
    if (value === "OUT") return [0x41, ...signed(out)];
    if (value === "OUT_SIZE") return [0x41, ...signed(outSize)];
    if (typeof value === "number") return [0x41, ...signed(value | 0)];
    if (typeof value === "bigint") return [0x42, ...signed(value)];
    if (typeof value !== "string")
      return "at" in value ? [0x41, ...signed(value.at), 0x28, 2, 0] : [0x20, value.parameter];
    const bytes = Buffer.from(value, "latin1");
    const at = dataAt + data.length;
    data.push(...bytes);
    return [0x41, ...signed(at), 0x41, ...signed(bytes.length)];
  }
}

function exportOf(name: string): string {
  return name.startsWith("on_") ? `proxy_${name}` : name;
}

/** What a callback gives that says nothing else: 1 for what asks whether it is fine, 0 for actions. */
function ending(name: string): number[] {
  return withResult.test(name) ? [0x41, /^on_(vm_start|configure|done)$/.test(name) ? 1 : 0] : [];
}

/** Gives room one after the other, and begins anew at the end. */
function mallocBody(): number[] {
  return [
    ...[1, 1, 0x7f],
    ...[
      0x23,
      0,
      0x20,
      0,
      0x6a,
      0x41,
      ...signed(heapEnd),
      0x4a,
      0x04,
      0x40,
      0x41,
      ...signed(heapAt),
      0x24,
      0,
      0x0b,
    ],
    ...[0x23, 0, 0x21, 1, 0x23, 0, 0x20, 0, 0x6a, 0x24, 0, 0x20, 1, 0x0b],
  ];
}

function lettersOf(value: Argument): string {
  if (value === "OUT" || value === "OUT_SIZE") return "i";
  if (typeof value === "string") return "ii";
  return typeof value === "bigint" ? "I" : "i";
}

function typeOf(types: string[], parameters: string, result: boolean): number {
  const type = `${parameters}${result ? ">" : ""}`;
  const known = types.indexOf(type);
  return known >= 0 ? known : types.push(type) - 1;
}

function encodeType(type: string): number[] {
  const parameters = [...type.replace(">", "")].map((letter) => (letter === "i" ? 0x7f : 0x7e));
  return [0x60, ...size(parameters.length), ...parameters, ...(type.endsWith(">") ? [1, 0x7f] : [0])];
}

const list = (entries: readonly (readonly number[])[]) => [...size(entries.length), ...entries.flat()];

/** An unsigned LEB128. */
function size(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...size(value >>> 7)];
}

/** A signed LEB128. */
function signed(value: number | bigint): number[] {
  const low = Number(BigInt(value) & 0x7fn);
  const rest = BigInt(value) >> 7n;
  const last = (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40);
  return last ? [low] : [low | 0x80, ...signed(rest)];
}
