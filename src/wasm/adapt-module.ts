import { errorText, SystemError } from "../system-error.ts";
import {
  higressImports,
  higressMarker,
  importName,
  type StockMarker,
  stockImports,
  stockMarkers,
} from "./envoy-imports.ts";
import { applyEdits, type Edit, encodeNumber, resized } from "./module-edits.ts";
import { asksForOldNames, withPropertyNames } from "./property-names.ts";
import { type ModuleInterface, readModule } from "./read-module.ts";

/** Whose Envoy a gateway is: what modules may import there, and which ABIs it knows. */
export type GatewayAbi = "stock" | "higress";

/** What was changed in a module, or has to be said to Envoy about it. */
export type Adaptation = "marker" | typeof heldBodies | typeof propertyNames;

/** Said of a module that asks for the names of route and cluster, and finds them now. */
export const propertyNames = "property names";

/** Said of a module that has a stock marker behind Higress': as there, it gets a body while it holds the headers. */
export const heldBodies = "bodies of held headers";

/** Whether a module is one of Higress' ABI to Higress, so that its pauses have the meaning that they have there. */
export function getsHeldBodies(adapted: readonly string[]): boolean {
  return adapted.includes("marker") || adapted.includes(heldBodies);
}

export interface AdaptedModule {
  readonly bytes: Uint8Array;
  readonly adaptations: readonly Adaptation[];
  /** What should have been changed and could not be, and what follows from that. */
  readonly warning?: string;
  /** What the module imports and a stock Envoy has not, as `module.name`; only Higress' own, for Higress' Envoy. */
  readonly missingImports: readonly string[];
}

type Marker = StockMarker | typeof higressMarker;

const markers: readonly string[] = [...stockMarkers, higressMarker];
/** Envoy puts what it hands to a module where one of these says. */
const allocators = ["malloc", "proxy_on_memory_allocate"];
/** The ABI that Higress' extends. */
const stockOfHigress: StockMarker = "proxy_abi_version_0_2_1";

/** Names what `adaptModule` makes for a gateway: another when it makes something else of the same module. */
export function adaptationTarget(gateway: GatewayAbi): string {
  return gateway === "stock" ? "stock-3" : gateway;
}

/**
 * Checks that a gateway can load a module, and makes it fit a stock Envoy where that lacks no function: the marker of
 * Higress' ABI is renamed, and properties that Envoy has under another name are found under that. Every other byte stays.
 * @throws SystemError `module-invalid`
 */
export function adaptModule(bytes: Uint8Array, what: string, gateway: GatewayAbi): AdaptedModule {
  const module = readModule(bytes, what);
  const marker = findMarker(module, what);
  checkExports(module, what);
  const missingImports = findMissing(module, marker);
  checkImports(missingImports, what, gateway);
  if (gateway !== "stock") return { bytes, adaptations: [], missingImports };
  const marked = marker === higressMarker ? applyEdits(bytes, renameMarker(module)) : bytes;
  const renamed = asksForOldNames(bytes, module) ? renameProperties(marked, what) : { bytes: marked };
  const adaptations: Adaptation[] = [];
  if (marked !== bytes) adaptations.push("marker");
  else if (isFirstMarker(module, higressMarker)) adaptations.push(heldBodies);
  if (renamed.bytes !== marked) adaptations.push(propertyNames);
  return { ...renamed, adaptations, missingImports };
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

function isFirstMarker({ exports }: ModuleInterface, marker: Marker): boolean {
  const first = exports.find(({ kind, name }) => kind === "function" && markers.includes(name));
  return first?.name === marker;
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

function renameMarker({ exports, exportSection }: ModuleInterface): readonly Edit[] {
  const { start, end } = exports.find(({ kind, name }) => kind === "function" && name === higressMarker)!;
  const name = Buffer.from(stockOfHigress);
  return resized(exportSection!, [{ start, end, bytes: Buffer.concat([encodeNumber(name.length), name]) }]);
}

/** Has old names of properties understood. What cannot be rewritten stays as it is, and is worth a warning. */
function renameProperties(bytes: Uint8Array, what: string): Pick<AdaptedModule, "bytes" | "warning"> {
  try {
    return { bytes: withPropertyNames(bytes, readModule(bytes, what)) };
  } catch (error) {
    return { bytes, warning: `rules by route and by service will match nothing: ${errorText(error)}` };
  }
}
