import { importName } from "../wasm/envoy-imports.ts";
import { encodeNumber, encodeSigned } from "../wasm/module-edits.ts";
import type { ModuleInterface } from "../wasm/read-module.ts";
import { wrapImport } from "../wasm/wrap-import.ts";

const getProperty = "env.proxy_get_property";
/** Properties that Envoy has had below `xds` only since 1.33, and Higress' SDKs ask for without it. */
const names = ["route_name", "cluster_name"] as const;
const prefix = "xds\0";

/** Whether a module may ask for a property by a name that Envoy does not have any more. */
export function asksForOldNames(bytes: Uint8Array, { imports }: ModuleInterface): boolean {
  if (!imports.some((each) => each.kind === "function" && importName(each) === getProperty)) return false;
  const module = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (names.some((name) => module.includes(name))) return true;
  // Texts of AssemblyScript. What has the newer name among them as well, as plugins of our SDK have, needs nobody.
  return names.some((name) => module.includes(name, 0, "utf16le")) && !module.includes("xds", 0, "utf16le");
}

/**
 * A module whose calls of `proxy_get_property` go through a function that asks for `route_name` and `cluster_name` below
 * `xds` first, and where that gives nothing, as the module did.
 * @throws UnknownInstruction, SystemError `module-invalid`: the module cannot be rewritten
 */
export function withPropertyNames(bytes: Uint8Array, module: ModuleInterface): Uint8Array {
  return wrapImport(bytes, module, getProperty, createWrapper);
}

/**
 * Where the longer path stands while the host reads it: 16 bytes that are put back before the module goes on. The page
 * that begins with the null pointer has no data of C, C++, AssemblyScript (from 1024 on) or Go (from 4096 on), and Rust
 * and TinyGo have the far end of their stack there. Memory of the module's own would have to be grown, which allocators
 * take for theirs, or asked for at each call; and the bytes before the module's path are its allocator's.
 */
const scratch = 16;

// Opcodes.
const block = 0x02;
const ifTrue = 0x04;
const end = 0x0b;
const branch = 0x0c;
const leave = 0x0f;
const call = 0x10;
const getLocal = 0x20;
const setLocal = 0x21;
const loadWord = 0x29;
const storeWord = 0x37;
const constant = 0x41;
const wordConstant = 0x42;
const isZero = 0x45;
const isEqual = 0x46;
const isEqualWord = 0x51;
const and = 0x71;
const i32 = 0x7f;
const i64 = 0x7e;
const noResult = 0x40;

// Parameters, and locals behind them.
const [path, length, resultAt, sizeAt] = [0, 1, 2, 3];
const [firstWord, lastWord, savedFirst, savedLast, newLength, status] = [4, 5, 6, 7, 8, 9];

const int = (value: number) => [constant, ...encodeSigned(BigInt(value))];
const get = (local: number) => [getLocal, local];
const set = (local: number) => [setLocal, local];
const load = (offset: number) => [loadWord, 0, offset];
const store = (offset: number) => [storeWord, 0, offset];

/** Eight bytes of a text as a number. */
function word(text: string, at: number): readonly number[] {
  const bytes = Buffer.alloc(8);
  bytes.write(text.slice(at, at + 8), "latin1");
  return [wordConstant, ...encodeSigned(bytes.readBigInt64LE())];
}

/** The body of the function, of the type (path, length, result, size) to status. */
function createWrapper(importIndex: number): Uint8Array {
  const callImport = [call, ...encodeNumber(importIndex)];
  return Uint8Array.from([
    ...[2, 4, i64, 2, i32],
    ...[block, noResult],
    ...[block, noResult, ...names.flatMap(renameIfEqual), branch, 1, end],
    ...swapScratch(),
    ...[...int(scratch), ...get(newLength), ...get(resultAt), ...get(sizeAt), ...callImport, ...set(status)],
    ...restoreScratch(),
    ...[...get(status), isZero, ifTrue, noResult, ...int(0), leave, end],
    end,
    ...[path, length, resultAt, sizeAt].flatMap(get),
    ...callImport,
    end,
  ]);
}

/** Has the new path in the locals and leaves the inner block where the path is this name. Names are of 8 to 16 bytes: two words that may overlap. */
function renameIfEqual(name: string): readonly number[] {
  const renamed = prefix + name;
  const last = name.length - 8;
  return [
    ...[...get(length), ...int(name.length), isEqual, ifTrue, noResult],
    ...[...get(path), ...load(0), ...word(name, 0), isEqualWord],
    ...[...get(path), ...load(last), ...word(name, last), isEqualWord, and, ifTrue, noResult],
    ...[...word(renamed, 0), ...set(firstWord), ...word(renamed, 8), ...set(lastWord)],
    ...[...int(renamed.length), ...set(newLength), branch, 2],
    ...[end, end],
  ];
}

function swapScratch(): readonly number[] {
  return [
    ...[...int(scratch), ...load(0), ...set(savedFirst), ...int(scratch), ...load(8), ...set(savedLast)],
    ...[...int(scratch), ...get(firstWord), ...store(0), ...int(scratch), ...get(lastWord), ...store(8)],
  ];
}

function restoreScratch(): readonly number[] {
  return [
    ...[...int(scratch), ...get(savedFirst), ...store(0), ...int(scratch), ...get(savedLast), ...store(8)],
  ];
}
