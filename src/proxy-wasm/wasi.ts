import { randomFillSync } from "node:crypto";
import { wasiFunctions } from "./abi.ts";
import { showText } from "./memory.ts";

/** What a guest's WASI calls reach. */
export interface WasiEnvironment {
  /** The guest's memory. Asked for at each call, as it is made by the instance that the imports are for. */
  memory(): { readonly buffer: ArrayBuffer };
  readonly env: ReadonlyMap<string, string>;
  /** What the guest wrote to stdout (`info`) or stderr (`error`), by one call, without the newline at its end. */
  write(level: "info" | "error", line: string): void;
  /** Nanoseconds since 1970. */
  realtimeNs(): bigint;
  monotonicNs(): bigint;
}

/** Thrown through the guest by `proc_exit`. */
// Unlike Envoy, which logs and returns: the guest does not expect it, and goes on into `unreachable`.
export class ProcExit extends Error {
  readonly code: number;

  constructor(code: number) {
    super(`the module ended itself with status ${code}`);
    this.name = "ProcExit";
    this.code = code;
  }
}

/** WASI's errno. */
const Errno = {
  Success: 0,
  BadFile: 8,
  /** Linux' number, which proxy-wasm-cpp-host answers; WASI's is 54. */
  NotDirectory: 20,
  Fault: 21,
  Invalid: 28,
  NoEntry: 44,
  NotImplemented: 52,
  NotSupported: 58,
} as const;

const maxRandomBytes = 64 * 1024;
// More is a partial write, after which the guest's library writes the rest.
const maxWriteBytes = 1024 * 1024;
const maxWriteParts = 1024;
/** `__WASI_RIGHTS_FD_WRITE`. */
const rightToWrite = 64n;

type WasiFunction = (...args: never[]) => number;

/**
 * The functions of WASI preview 1 for `wasi_snapshot_preview1` and for `wasi_unstable`: output, clocks, randomness and
 * environment variables; no arguments, files or sockets. Answers are proxy-wasm-cpp-host's. A pointer outside of the
 * memory is answered with EFAULT.
 */
export function wasiImports(environment: WasiEnvironment): Record<string, WasiFunction> {
  return {
    ...Object.fromEntries(wasiFunctions.map((name) => [name, () => errnoOfAbsent(name)])),
    ...outputFunctions(environment),
    ...environmentFunctions(environment),
    ...clockFunctions(environment),
    ...systemFunctions(environment),
  };
}

/** What a function answers that has nothing to work on here. */
function errnoOfAbsent(name: string): number {
  const known = absent[name];
  if (known !== undefined) return known;
  return /^(path|sock)_/.test(name) ? Errno.NotSupported : Errno.NotImplemented;
}

const absent: Readonly<Record<string, number>> = {
  fd_close: Errno.Success,
  fd_filestat_get: Errno.BadFile,
  // Ends the search for preopened directories that guests begin with.
  fd_prestat_get: Errno.BadFile,
  fd_readdir: Errno.NotDirectory,
  fd_seek: Errno.Success,
  path_open: Errno.NoEntry,
  sched_yield: Errno.Success,
};

function outputFunctions(environment: WasiEnvironment): Record<string, WasiFunction> {
  const write = (fd: number, parts: number, count: number, writtenAt: number) => {
    const level = levelOf(fd);
    if (level === undefined) return Errno.BadFile;
    const memory = viewMemory(environment);
    const bytes = gatherBytes(memory, parts >>> 0, Math.min(count >>> 0, maxWriteParts));
    if (!bytes) return Errno.Fault;
    if (bytes.length > 0) environment.write(level, textOf(bytes));
    return storeUint32(memory, writtenAt >>> 0, bytes.length);
  };
  return {
    fd_write: write,
    fd_pwrite: (fd: number, parts: number, count: number, _offset: bigint, writtenAt: number) =>
      write(fd, parts, count, writtenAt),
    fd_fdstat_get(fd: number, statAt: number) {
      if (levelOf(fd) === undefined) return Errno.BadFile;
      const memory = viewMemory(environment);
      const at = statAt >>> 0;
      if (!fits(memory, at, 24)) return Errno.Fault;
      for (const offset of [0, 8, 16])
        memory.setBigUint64(at + offset, offset === 8 ? rightToWrite : 0n, true);
      return Errno.Success;
    },
  };
}

function environmentFunctions(environment: WasiEnvironment): Record<string, WasiFunction> {
  const entries = [...environment.env].map(([name, value]) => Buffer.from(`${name}=${value}\0`));
  const size = entries.reduce((sum, entry) => sum + entry.length, 0);
  return {
    environ_sizes_get: (countAt: number, sizeAt: number) =>
      storeSizes(viewMemory(environment), countAt, entries.length, sizeAt, size),
    environ_get: (pointersAt: number, textAt: number) =>
      storeStrings(viewMemory(environment), entries, pointersAt >>> 0, textAt >>> 0),
    args_sizes_get: (countAt: number, sizeAt: number) =>
      storeSizes(viewMemory(environment), countAt, 0, sizeAt, 0),
    args_get: () => Errno.Success,
  };
}

function clockFunctions(environment: WasiEnvironment): Record<string, WasiFunction> {
  const clocks: readonly (() => bigint)[] = [
    () => environment.realtimeNs(),
    // Go ends a program whose clock stands at zero.
    () => environment.monotonicNs() || 1n,
  ];
  const store = (id: number, at: number, value: (clock: () => bigint) => bigint) => {
    const clock = clocks[id];
    return clock ? storeUint64(viewMemory(environment), at >>> 0, value(clock)) : Errno.NotSupported;
  };
  return {
    clock_time_get: (id: number, _precision: bigint, at: number) => store(id, at, (clock) => clock()),
    clock_res_get: (id: number, at: number) => store(id, at, () => 1n),
  };
}

function systemFunctions(environment: WasiEnvironment): Record<string, WasiFunction> {
  return {
    random_get(at: number, length: number) {
      const size = length >>> 0;
      if (size > maxRandomBytes) return Errno.Invalid;
      const memory = viewMemory(environment);
      if (!fits(memory, at >>> 0, size)) return Errno.Fault;
      randomFillSync(new Uint8Array(memory.buffer, at >>> 0, size));
      return Errno.Success;
    },
    // Go's scheduler takes an error for a defect; with no event it looks for work and asks again.
    poll_oneoff: (_subscriptions: number, _events: number, _count: number, eventCountAt: number) =>
      storeUint32(viewMemory(environment), eventCountAt >>> 0, 0),
    proc_exit(code: number) {
      throw new ProcExit(code >>> 0);
    },
  };
}

function levelOf(fd: number): "info" | "error" | undefined {
  if (fd === 1) return "info";
  return fd === 2 ? "error" : undefined;
}

/** The bytes of an array of (pointer, length), up to the most that one write takes. Undefined if one is out of bounds. */
function gatherBytes(memory: DataView, at: number, count: number): Buffer | undefined {
  if (count > 0 && !fits(memory, at, count * 8)) return undefined;
  const parts: Uint8Array[] = [];
  let total = 0;
  for (let i = 0; i < count && total < maxWriteBytes; i++) {
    const [start, length] = [memory.getUint32(at + i * 8, true), memory.getUint32(at + i * 8 + 4, true)];
    if (length === 0) continue;
    if (!fits(memory, start, length)) return undefined;
    parts.push(new Uint8Array(memory.buffer, start, Math.min(length, maxWriteBytes - total)));
    total += parts.at(-1)!.length;
  }
  return Buffer.concat(parts, total);
}

/** A line without its end. */
function textOf(bytes: Buffer): string {
  const newline = bytes[bytes.length - 1] === 10;
  return showText(newline ? bytes.subarray(0, -1) : bytes);
}

/** Strings one after the other, and a pointer to each. */
function storeStrings(
  memory: DataView,
  strings: readonly Buffer[],
  pointersAt: number,
  textAt: number,
): number {
  const size = strings.reduce((sum, text) => sum + text.length, 0);
  if (!fits(memory, pointersAt, 4 * strings.length) || !fits(memory, textAt, size)) return Errno.Fault;
  let at = textAt;
  for (const [i, text] of strings.entries()) {
    memory.setUint32(pointersAt + 4 * i, at, true);
    new Uint8Array(memory.buffer).set(text, at);
    at += text.length;
  }
  return Errno.Success;
}

function storeSizes(memory: DataView, countAt: number, count: number, sizeAt: number, size: number): number {
  return storeUint32(memory, countAt >>> 0, count) || storeUint32(memory, sizeAt >>> 0, size);
}

function storeUint32(memory: DataView, at: number, value: number): number {
  if (!fits(memory, at, 4)) return Errno.Fault;
  memory.setUint32(at, value, true);
  return Errno.Success;
}

function storeUint64(memory: DataView, at: number, value: bigint): number {
  if (!fits(memory, at, 8)) return Errno.Fault;
  memory.setBigUint64(at, value, true);
  return Errno.Success;
}

function fits(memory: DataView, at: number, size: number): boolean {
  return at + size <= memory.byteLength;
}

/** Made anew at each call: a memory that grows gets another buffer. */
function viewMemory(environment: WasiEnvironment): DataView {
  return new DataView(environment.memory().buffer);
}
