import { type Instance, runWasm, type WasmFunction } from "./run-wasm.ts";

/** One call that a plugin made, or what it returned. */
export type TraceLine = readonly (string | number | bigint)[];

const consumer = { name: "c", credential: "r1" };
const settings = {
  ...{ status_code: 203, keys: ["k"], in_header: true, consumers: [consumer], allow: ["c"] },
  reqRules: [{ operate: "add", headers: [{ key: "x", value: "y" }] }],
};
/** Something for each of our plugins, and rules. */
const configuration = JSON.stringify({
  ...settings,
  _rules_: [
    { ...settings, _match_route_: ["r2"] },
    { ...settings, _match_domain_: ["r1"] },
  ],
});

const lifecycle: readonly (readonly [name: string, ...args: number[]])[] = [
  ["_initialize"],
  ["_start"],
  ["proxy_on_context_create", 1, 0],
  ["proxy_on_vm_start", 1, 0],
  ["proxy_on_configure", 1, configuration.length],
  ["proxy_on_context_create", 2, 1],
  ["proxy_on_request_headers", 2, 3, 1],
  ["proxy_on_response_headers", 2, 3, 1],
  ["proxy_on_done", 2],
  ["proxy_on_log", 2],
  ["proxy_on_delete", 2],
];

/**
 * Takes a plugin through a request and gives every call that it makes with its arguments, and what it returns or that it
 * fails. The host has a configuration and few headers, and what else it answers depends on the seed.
 */
export function tracePlugin(bytes: Uint8Array, seed: number): readonly TraceLine[] {
  const trace: TraceLine[] = [];
  const host = { instance: undefined as Instance | undefined, choose: createChoice(seed) };
  const recorded = (answer: (name: string, args: readonly number[]) => number) =>
    recordingModule(trace, answer);
  host.instance = runWasm(bytes, {
    env: recorded((name, args) => answerCall(host.instance!, host.choose, name, args)),
    wasi_snapshot_preview1: recorded((name, args) => answerSystem(host.instance!, name, args)),
  });
  for (const [name, ...args] of lifecycle) {
    const call = host.instance.functions[name];
    if (!call) continue;
    const result = attempt(() => call(...args));
    trace.push([name, result]);
    if (result === "failed") break;
  }
  return trace;
}

/** Numbers below a limit, the same for the same seed. */
function createChoice(seed: number): (limit: number) => number {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    return (state >>> 16) % limit;
  };
}

function recordingModule(
  trace: TraceLine[],
  answer: (name: string, args: readonly number[]) => number,
): Record<string, WasmFunction> {
  const functionFor = (name: string | symbol) => {
    return (...args: number[]) => {
      trace.push([String(name), ...args]);
      return answer(String(name), args);
    };
  };
  return new Proxy({}, { get: (_, name) => functionFor(name) });
}

function answerCall(
  instance: Instance,
  choose: (limit: number) => number,
  name: string,
  args: readonly number[],
): number {
  const give = (value: Uint8Array | string, at: number) =>
    giveValue(instance, value, args[at]!, args[at + 1]!);
  const some = () => ["r1", "r2", "k"][choose(3)]!;
  if (name === "proxy_get_buffer_bytes" && args[0] === 7) return give(configuration, 3);
  if (name === "proxy_get_property") return choose(3) === 0 ? 1 : give(some(), 2);
  if (name === "proxy_get_header_map_value") return choose(3) === 0 ? 1 : give(some(), 3);
  if (name === "proxy_get_header_map_pairs")
    return give(
      pairs([
        ["k", some()],
        [":authority", some()],
      ]),
      1,
    );
  if (name === "proxy_log") return 0;
  return choose(4) === 0 ? 1 : 0;
}

/** Writes a value into the plugin's memory, and where it is. */
function giveValue(instance: Instance, value: Uint8Array | string, pointer: number, size: number): number {
  const bytes = Buffer.from(value);
  const { malloc, proxy_on_memory_allocate: allocate } = instance.functions;
  const at = (malloc ?? allocate)!(bytes.length);
  const memory = instance.memory();
  new Uint8Array(memory.buffer).set(bytes, at);
  memory.setUint32(pointer, at, true);
  memory.setUint32(size, bytes.length, true);
  return 0;
}

/** Headers as the ABI has them. */
function pairs(headers: readonly (readonly [name: string, value: string])[]): Uint8Array {
  const lengths = Uint32Array.from([headers.length, ...headers.flat().map((each) => each.length)]);
  return Buffer.concat([
    Buffer.from(lengths.buffer),
    ...headers.flat().map((each) => Buffer.from(`${each}\0`)),
  ]);
}

/** As much of WASI as runtimes need to start: a clock that goes on, no arguments, no environment. */
function answerSystem(instance: Instance, name: string, args: readonly number[]): number {
  const memory = instance.memory();
  if (name === "clock_time_get") memory.setBigUint64(args[2]!, 1_000_000n, true);
  if (name.endsWith("_sizes_get")) for (const at of args) memory.setUint32(at, 0, true);
  if (name === "fd_prestat_get") return 8;
  return 0;
}

function attempt(call: () => number): number | string {
  try {
    return call() ?? "nothing";
  } catch {
    return "failed";
  }
}
