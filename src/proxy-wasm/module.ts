import { createHash } from "node:crypto";
import { errorText, SystemError } from "../system-error.ts";
import { readFunctionTypes } from "../wasm/function-types.ts";
import { type ModuleInterface, readModule } from "../wasm/read-module.ts";
import { type AbiVersion, abiMarkers, hostFunctions, wasiFunctions, wasiModules } from "./abi.ts";
import { limitMemory } from "./limit-memory.ts";
import { signatureOf } from "./signatures.ts";
import { type CompiledModule, wasm } from "./web-assembly.ts";

/** A compiled plugin, ready to be instantiated in any thread. */
export interface PluginModule {
  /** What messages call it. */
  readonly name: string;
  /** Of the bytes as they came: `sha256:…`. */
  readonly digest: string;
  readonly abi: AbiVersion;
  /** The export that is its memory. */
  readonly memoryName: string;
  readonly compiled: CompiledModule;
}

export interface CompileOptions {
  readonly name?: string;
  /** What a Vm's memory may grow to; 1 GiB if it is left out. */
  readonly maxMemoryBytes?: number;
}

const defaultMemoryBytes = 1024 ** 3;
/** Whoever hands values to a guest gets room for them from one of these. */
export const allocatorNames: readonly string[] = ["malloc", "proxy_on_memory_allocate"];

/**
 * Compiles a plugin in the background and checks what can be told without running it: its ABI, its imports, its exports.
 * @throws SystemError `module-invalid`
 */
export async function compileModule(
  bytes: Uint8Array,
  { name = "the module", maxMemoryBytes = defaultMemoryBytes }: CompileOptions = {},
): Promise<PluginModule> {
  const parts = readModule(bytes, name);
  const abi = findAbi(parts, name);
  const memoryName = checkExports(parts, name);
  checkImports(parts, abi, name);
  checkSignatures(bytes, parts, abi, name);
  const limited = limitMemory(bytes, parts, maxMemoryBytes, name);
  try {
    const compiled = await wasm.compile(limited);
    return { name, digest: digestOf(bytes), abi, memoryName, compiled };
  } catch (error) {
    throw new SystemError("module-invalid", `${name}: ${errorText(error)}`, error);
  }
}

/** The digest of a module's bytes as OCI writes it. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function findAbi({ exports }: ModuleInterface, name: string): AbiVersion {
  for (const { kind, name: marker } of exports) {
    const version = kind === "function" ? abiMarkers.get(marker) : undefined;
    if (version) return version;
  }
  const expected = [...abiMarkers.keys()].join(", ");
  throw new SystemError(
    "module-invalid",
    `${name} is no proxy-wasm plugin: found no ABI marker among its ${exports.length} exports; expected one of ${expected}. ` +
      "Build it with a proxy-wasm SDK",
  );
}

// Unlike Envoy: a module without a memory is refused; it could be given nothing.
/** The name of the memory. Envoy takes it whatever its name. */
function checkExports({ exports }: ModuleInterface, name: string): string {
  const memory = exports.find(({ kind }) => kind === "memory");
  const allocates = exports.some(({ kind, name }) => kind === "function" && allocatorNames.includes(name));
  if (memory && allocates) return memory.name;
  const missing = [...(memory ? [] : ["its memory"]), ...(allocates ? [] : [allocatorNames.join(" or ")])];
  throw new SystemError(
    "module-invalid",
    `${name} is no proxy-wasm plugin: it does not export ${missing.join(" and ")}. Build it with a proxy-wasm SDK`,
  );
}

function checkImports({ imports }: ModuleInterface, abi: AbiVersion, name: string): void {
  const offered = hostFunctions(abi);
  const missing = imports.filter(
    (each) => each.kind !== "function" || !isOffered(each.module, each.name, offered),
  );
  if (missing.length === 0) return;
  const names = [...new Set(missing.map((each) => `${each.module}.${each.name}`))].slice(0, 10).join(", ");
  throw new SystemError(
    "module-invalid",
    `${name} imports what a host of ABI ${abi} does not have: ${names}; build it for the functions of the ABI that it exports`,
  );
}

function isOffered(module: string, name: string, offered: ReadonlySet<string>): boolean {
  if (module === "env") return offered.has(name);
  return wasiModules.some((known) => known === module) && wasiFunctions.includes(name);
}

/** V8 would call across wrong signatures from here, and not in Envoy: what is missing would be 0, what is too many be lost. */
function checkSignatures(bytes: Uint8Array, parts: ModuleInterface, abi: AbiVersion, name: string): void {
  const types = readFunctionTypes(bytes, parts, name);
  const functions = [
    ...parts.imports.flatMap((each) =>
      each.module === "env" ? [{ name: each.name, found: types.ofType(each.type!) }] : [],
    ),
    ...parts.exports.flatMap((each) =>
      each.kind === "function" ? [{ name: each.name, found: types.ofFunction(each.index) }] : [],
    ),
  ];
  for (const { name: of, found } of functions) {
    const expected = signatureOf(of, abi);
    if (found === undefined || expected === undefined || found === expected) continue;
    throw new SystemError(
      "module-invalid",
      `${name}: ${of} has the wrong signature: found ${show(found)}, expected ${show(expected)}; build it with an SDK for ABI ${abi}`,
    );
  }
}

const typeNames: Readonly<Record<string, string>> = { i: "i32", I: "i64", f: "f32", F: "f64" };

function show(signature: string): string {
  const [parameters = "", results = ""] = signature
    .split(">")
    .map((types) => Array.from(types, (type) => typeNames[type]).join(", "));
  return `(${parameters}) -> (${results})`;
}
