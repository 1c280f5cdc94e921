import { allocatorNames } from "./module.ts";
import type { WasmFunction, WasmMemory } from "./web-assembly.ts";

/**
 * Sees what goes between host and guests: of each function it may give another, which the other side calls in its place.
 * Where there is no observer, nobody pays for one.
 */
export interface VmObserver {
  /** For a function that the guest imports, by its module and name. */
  hostFunction(module: string, name: string, call: WasmFunction, memory: GuestBytes): WasmFunction;
  /** For a callback of the guest, or its start function. Allocators are not observed. */
  callback(name: string, call: WasmFunction, memory: GuestBytes): WasmFunction;
}

/** The memory of the guest as it is now. There is none before its start section has run. */
export type GuestBytes = () => Uint8Array | undefined;

type Functions = Readonly<Record<string, unknown>>;

/** The functions of a module that a guest imports, with the observer's in their place. */
export function observeImports(
  module: string,
  functions: Functions,
  observer: VmObserver | undefined,
  memory: () => WasmMemory | undefined,
): Functions {
  if (!observer) return functions;
  return mapFunctions(functions, (name, call) => observer.hostFunction(module, name, call, bytesOf(memory)));
}

/** The exports of a guest, with the observer's in the place of functions. */
export function observeExports(
  exports: Functions,
  observer: VmObserver | undefined,
  memory: () => WasmMemory | undefined,
): Functions {
  if (!observer) return exports;
  return mapFunctions(exports, (name, call) =>
    allocatorNames.includes(name) ? call : observer.callback(name, call, bytesOf(memory)),
  );
}

function mapFunctions(
  functions: Functions,
  replace: (name: string, call: WasmFunction) => WasmFunction,
): Functions {
  const entries = Object.entries(functions);
  return Object.fromEntries(
    entries.map(([name, value]) => [
      name,
      typeof value === "function" ? replace(name, value as WasmFunction) : value,
    ]),
  );
}

function bytesOf(memory: () => WasmMemory | undefined): GuestBytes {
  return () => {
    const found = memory();
    return found && new Uint8Array(found.buffer);
  };
}
