/** What this needs of WebAssembly, for which the types of Node 20 have no declaration. */
interface WasmApi {
  readonly Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): readonly { module: string; name: string; kind: string }[];
    exports(module: object): readonly { name: string; kind: string }[];
  };
}

const { Module } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;

/** What V8 takes a module's imports and exports for. Throws where V8 does not take it at all. */
export function readByV8(bytes: Uint8Array) {
  const module = new Module(Uint8Array.from(bytes));
  return { imports: Module.imports(module), exports: Module.exports(module) };
}
