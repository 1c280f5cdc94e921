import type { Diagnostic } from "../resource/diagnostic.ts";
import { compileAssemblyScript } from "./compile-assemblyscript.ts";
import { compileGo } from "./compile-go.ts";
import { compileRust } from "./compile-rust.ts";
import type { PluginLanguage, PluginSource } from "./plugin-source.ts";

/** What a compiler made of a plugin's source. */
export interface CompiledPlugin {
  readonly wasm: Uint8Array;
  /** The compiler with its version. */
  readonly toolchain: string;
  /** What the compiler warned of. */
  readonly warnings: readonly Diagnostic[];
}

export interface CompileOptions {
  readonly signal?: AbortSignal;
  /** What compilers run with; our own unless given. */
  readonly env?: NodeJS.ProcessEnv;
  /** False: as fast as it can be had, for a module that nobody publishes. AssemblyScript only: the others keep what they have compiled. */
  readonly optimize?: boolean;
}

const compilers: Readonly<
  Record<PluginLanguage, (directory: string, options: CompileOptions) => Promise<CompiledPlugin>>
> = { assemblyscript: compileAssemblyScript, go: compileGo, rust: compileRust };

/**
 * Compiles a plugin by its language's toolchain; nothing is written but what that keeps for itself.
 * @throws ResourceError with all that the compiler complains about, SystemError `toolchain` where it is missing, too old or fails
 */
export function compilePlugin(
  { directory, language }: PluginSource,
  options: CompileOptions = {},
): Promise<CompiledPlugin> {
  return compilers[language](directory, options);
}
