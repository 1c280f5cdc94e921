import { type ModuleInterface, readModule } from "../read-module.ts";
import { encodeUnsigned, replaceSection } from "../replace-section.ts";
import { SystemError } from "../system-error.ts";
import {
  higressImports,
  higressMarker,
  importName,
  type StockMarker,
  stockImports,
  stockMarkers,
} from "./envoy-imports.ts";

/** Whose Envoy a gateway is: what modules may import there, and which ABIs it knows. */
export type GatewayAbi = "stock" | "higress";

export interface AdaptedModule {
  readonly bytes: Uint8Array;
  readonly adapted: boolean;
  /** What the module imports and a stock Envoy has not, as `module.name`; only Higress' own, for Higress' Envoy. */
  readonly missingImports: readonly string[];
}

type Marker = StockMarker | typeof higressMarker;

const markers: readonly string[] = [...stockMarkers, higressMarker];
/** Envoy puts what it hands to a module where one of these says. */
const allocators = ["malloc", "proxy_on_memory_allocate"];
/** The ABI that Higress' extends. */
const stockOfHigress: StockMarker = "proxy_abi_version_0_2_1";

/**
 * Checks that a gateway can load a module, and makes it fit where only the marker of Higress' ABI stands in the way:
 * that is renamed, and every other byte stays.
 * @throws SystemError `module-invalid`
 */
export function adaptModule(bytes: Uint8Array, what: string, gateway: GatewayAbi): AdaptedModule {
  const module = readModule(bytes, what);
  const marker = findMarker(module, what);
  checkExports(module, what);
  const missingImports = findMissing(module, marker);
  checkImports(missingImports, what, gateway);
  const adapted = marker === higressMarker && gateway === "stock";
  return { bytes: adapted ? renameMarker(bytes, module) : bytes, adapted, missingImports };
}

/** The ABI of a module. Envoy takes the first marker that it knows, so one of a stock ABI comes before Higress'. */
function findMarker({ exports }: ModuleInterface, what: string): Marker {
  const names = exports.filter(({ kind }) => kind === "function").map(({ name }) => name);
  const known = names.find(isStock) ?? (names.includes(higressMarker) ? higressMarker : undefined);
  if (known) return known as Marker;
  const unknown = names.filter((name) => name.startsWith("proxy_abi_version_"));
  const found = unknown.length === 0 ? "no ABI marker among" : `only ${shortList(unknown)} in`;
  throw new SystemError(
    "module-invalid",
    `${what} is no proxy-wasm plugin that Envoy can load: found ${found} its ${names.length} exported functions; ` +
      `expected one of ${markers.join(", ")}. Build it with a proxy-wasm SDK`,
  );
}

function isStock(name: string): name is StockMarker {
  return stockMarkers.some((marker) => marker === name);
}

function checkExports({ imports, exports }: ModuleInterface, what: string): void {
  // Envoy takes the memory whatever its name, and makes one for a module that imports it.
  const hasMemory = [...imports, ...exports].some(({ kind }) => kind === "memory");
  const hasAllocator = exports.some(({ kind, name }) => kind === "function" && allocators.includes(name));
  const missing = [
    ...(hasMemory ? [] : ["its memory (`memory`)"]),
    ...(hasAllocator ? [] : [`a function ${allocators.map((name) => `\`${name}\``).join(" or ")}`]),
  ];
  if (missing.length === 0) return;
  throw new SystemError(
    "module-invalid",
    `${what} is no proxy-wasm plugin that Envoy can use: it does not export ${missing.join(" and ")}. ` +
      "Build it with a proxy-wasm SDK",
  );
}

function findMissing({ imports }: ModuleInterface, marker: Marker): readonly string[] {
  const offered = stockImports(marker === higressMarker ? stockOfHigress : marker);
  const missing = imports.filter((each) => {
    // Envoy makes memories and tables for modules that import them.
    if (each.kind === "memory" || each.kind === "table") return false;
    return each.kind !== "function" || !offered.has(importName(each));
  });
  return [...new Set(missing.map(importName))];
}

function checkImports(missing: readonly string[], what: string, gateway: GatewayAbi): void {
  const refused = gateway === "stock" ? missing : missing.filter((name) => !higressImports.has(name));
  if (refused.length === 0) return;
  const reason = refused.some((name) => higressImports.has(name))
    ? "it needs Higress' Envoy (--gateway-abi=higress says that the gateway is one)"
    : "build it for the functions of the ABI that it exports";
  throw new SystemError(
    "module-invalid",
    `${what} imports what ${gateway === "stock" ? "a stock" : "Higress'"} Envoy does not have: ${shortList(refused)}; ${reason}`,
  );
}

/** The names as they are, without end or control characters: they are the module's, and go into logs. */
function shortList(names: readonly string[]): string {
  const shown = names.slice(0, 10).map((name) => name.slice(0, 100).replace(/[^\x21-\x7e]/g, "?"));
  const rest = names.length - shown.length;
  return shown.join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

function renameMarker(bytes: Uint8Array, { exports, exportSection }: ModuleInterface): Uint8Array {
  const { start, end } = exportSection!;
  const marker = exports.find(({ kind, name }) => kind === "function" && name === higressMarker)!;
  const name = Buffer.from(stockOfHigress);
  const content = Buffer.concat([
    bytes.subarray(start, marker.start),
    encodeUnsigned(name.length),
    name,
    bytes.subarray(marker.end, end),
  ]);
  return replaceSection(bytes, exportSection!, content);
}
