/** A function of a module, or one that it imports. */
export type WasmFunction = (...args: number[]) => number;

interface Memory {
  readonly buffer: ArrayBuffer;
}

/** A module that runs. */
export interface Instance {
  readonly functions: Readonly<Record<string, WasmFunction>>;
  /** Its memory as it is now. */
  memory(): DataView;
}

/** What this needs of WebAssembly, for which the types of Node 20 have no declaration. */
interface WasmApi {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Record<string, Record<string, unknown>>,
  ) => { readonly exports: Readonly<Record<string, unknown>> };
  validate(bytes: Uint8Array): boolean;
}

const { Module, Instance, validate } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

/** Runs a module in V8 with functions for its imports, by module and name. */
export function runWasm(bytes: Uint8Array, imports: Record<string, Record<string, WasmFunction>>): Instance {
  const { exports } = new Instance(new Module(Uint8Array.from(bytes)), imports);
  return {
    functions: exports as Readonly<Record<string, WasmFunction>>,
    memory: () => new DataView((exports.memory as Memory).buffer),
  };
}

/** Whether V8 takes a module. */
export function isValidWasm(bytes: Uint8Array): boolean {
  return validate(bytes);
}
