import { abiMarkers, callbackNames } from "../proxy-wasm/abi.ts";
import { allocatorNames, digestOf } from "../proxy-wasm/module.ts";
import { errorText } from "../system-error.ts";
import { type Adaptation, adaptModule, type GatewayAbi } from "../wasm/adapt-module.ts";
import {
  type CustomSection,
  type Producer,
  readCustomSections,
  readProducers,
} from "../wasm/custom-sections.ts";
import { importName } from "../wasm/envoy-imports.ts";
import type { ModuleSection } from "../wasm/module-reader.ts";
import { type ModuleInterface, readMemories, readModule } from "../wasm/read-module.ts";
import { findToolchain, type Toolchain } from "./find-toolchain.ts";
import type { NamedModule } from "./job.ts";

/** What a module says of itself. */
export interface ModuleReport extends Toolchain {
  readonly module: string;
  readonly digest: string;
  readonly bytes: number;
  /** ABI versions by its markers; empty if it has none. */
  readonly abi: readonly string[];
  readonly producers: readonly Producer[];
  /** What runs before the first callback, in order. */
  readonly start: readonly string[];
  readonly memory: MemoryReport;
  readonly callbacks: readonly string[];
  readonly hostFunctions: readonly string[];
  /** Exports that every host needs. */
  readonly missingExports: readonly string[];
  readonly gateways: Readonly<Record<GatewayAbi, GatewayReport>>;
  readonly sections: readonly { readonly name: string; readonly bytes: number }[];
}

export interface MemoryReport {
  readonly initialBytes: number | null;
  readonly maximumBytes: number | null;
  readonly imported: boolean;
}

/** Whether an Envoy takes a module, and what wasmline changes in it for that. */
export interface GatewayReport {
  readonly loads: boolean;
  readonly adaptations: readonly Adaptation[];
  readonly missingImports: readonly string[];
  readonly reason?: string;
}

const pageBytes = 65_536;
const startId = 8;
const sectionNames = [
  "custom",
  "type",
  "import",
  "function",
  "table",
  "memory",
  "global",
  "export",
  "start",
  "element",
  "code",
  "data",
  "data count",
  "tag",
];

/**
 * Describes a module without running it.
 * @throws SystemError `module-invalid` for bytes that are no Wasm module
 */
export function inspectModule({ name, bytes }: NamedModule): ModuleReport {
  const module = readModule(bytes, name);
  const custom = readCustomSections(bytes, module.sections, name);
  const producers = producersOf(bytes, custom, name);
  const functions = module.exports.filter(({ kind }) => kind === "function").map((each) => each.name);
  return {
    module: name,
    digest: digestOf(bytes),
    bytes: bytes.length,
    abi: functions.flatMap((each) => abiMarkers.get(each) ?? []),
    ...findToolchain(bytes, module, producers),
    producers,
    start: startOf(module, functions),
    memory: memoryOf(bytes, module, name),
    callbacks: functions.filter((each) => callbackNames.includes(each)),
    hostFunctions: [...new Set(module.imports.filter(({ kind }) => kind === "function").map(importName))],
    missingExports: missingExports(module, functions),
    gateways: { stock: gatewayReport(bytes, name, "stock"), higress: gatewayReport(bytes, name, "higress") },
    sections: module.sections.map((section) => sectionReport(section, custom)),
  };
}

/** A section that is broken is one that says nothing: nobody needs it. */
function producersOf(bytes: Uint8Array, custom: readonly CustomSection[], name: string): readonly Producer[] {
  const section = custom.find((each) => each.name === "producers");
  try {
    return section ? readProducers(bytes, section, name) : [];
  } catch {
    return [];
  }
}

/** As the host starts a module: its start section, then a reactor's `_initialize` and its main function, or a command's `_start`. */
function startOf({ sections }: ModuleInterface, functions: readonly string[]): string[] {
  const main = ["main", "__main_void"].filter((each) => functions.includes(each)).slice(0, 1);
  const named = functions.includes("_initialize") ? ["_initialize", ...main] : ["_start"];
  return [
    ...(sections.some(({ id }) => id === startId) ? ["start section"] : []),
    ...named.filter((each) => functions.includes(each)),
  ];
}

function memoryOf(
  bytes: Uint8Array,
  { memorySection, imports }: ModuleInterface,
  name: string,
): MemoryReport {
  const [limits] = memorySection ? readMemories(bytes, memorySection, name) : [];
  const size = (pages: number | undefined) => (pages === undefined ? null : pages * pageBytes);
  return {
    initialBytes: size(limits?.initial),
    maximumBytes: size(limits?.maximum),
    imported: imports.some(({ kind }) => kind === "memory"),
  };
}

function missingExports({ imports, exports }: ModuleInterface, functions: readonly string[]): string[] {
  const hasMemory = [...imports, ...exports].some(({ kind }) => kind === "memory");
  return [
    ...(functions.some((each) => abiMarkers.has(each)) ? [] : ["proxy_abi_version_…"]),
    ...(hasMemory ? [] : ["memory"]),
    ...(allocatorNames.some((each) => functions.includes(each)) ? [] : [allocatorNames.join(" or ")]),
  ];
}

function gatewayReport(bytes: Uint8Array, name: string, gateway: GatewayAbi): GatewayReport {
  try {
    const { adaptations, missingImports, warning } = adaptModule(bytes, name, gateway);
    return { loads: true, adaptations, missingImports, ...(warning !== undefined && { reason: warning }) };
  } catch (error) {
    return { loads: false, adaptations: [], missingImports: [], reason: errorText(error) };
  }
}

function sectionReport({ id, start, end }: ModuleSection, custom: readonly CustomSection[]) {
  const name = custom.find((each) => id === 0 && each.start >= start && each.end === end)?.name;
  const kind = sectionNames[id] ?? `section ${id}`;
  return { name: name === undefined ? kind : `${kind} ${JSON.stringify(name)}`, bytes: end - start };
}
