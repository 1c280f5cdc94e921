// The types of Node 20 declare no WebAssembly: what the host needs of it.

export type CompiledModule = object;

export interface WasmMemory {
  readonly buffer: ArrayBuffer;
}

/** A function of a guest, or one for it. Numbers of 64 bits are bigints. */
export type WasmFunction = (...parameters: (number | bigint)[]) => number | bigint | undefined;

export interface WasmInstance {
  readonly exports: Readonly<Record<string, unknown>>;
}

interface Descriptor {
  readonly name: string;
  readonly kind: string;
}

interface WasmApi {
  readonly Module: {
    new (bytes: Uint8Array): CompiledModule;
    imports(module: CompiledModule): (Descriptor & { readonly module: string })[];
    exports(module: CompiledModule): Descriptor[];
  };
  readonly Instance: new (
    module: CompiledModule,
    imports: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ) => WasmInstance;
  readonly Memory: new (descriptor: { initial: number; maximum?: number }) => WasmMemory;
  readonly RuntimeError: new (message?: string) => Error;
  compile(bytes: Uint8Array): Promise<CompiledModule>;
}

/** V8's own. */
export const wasm: WasmApi = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
