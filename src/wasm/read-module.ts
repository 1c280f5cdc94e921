import {
  createModuleReader,
  findSection,
  type ModuleReader,
  type ModuleSection,
  readSections,
  sectionIds,
} from "./module-reader.ts";

/** What a Wasm module imports or exports. */
export type ExternKind = "function" | "table" | "memory" | "global" | "tag";

export interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternKind;
  /** Of a function: the index of its type. */
  readonly type?: number;
}

export interface ModuleExport {
  readonly name: string;
  readonly kind: ExternKind;
  /** Its number among what the module has of that kind, imports first. */
  readonly index: number;
  /** Where the name with its length stands in the module, from its first byte to behind its last. */
  readonly start: number;
  readonly end: number;
}

/** What a Wasm module says of itself to who loads it. */
export interface ModuleInterface {
  readonly imports: readonly ModuleImport[];
  readonly exports: readonly ModuleExport[];
  readonly exportSection: ModuleSection | undefined;
  readonly memorySection: ModuleSection | undefined;
  /** All of them, in order. */
  readonly sections: readonly ModuleSection[];
}

/** V8's limit for imports as for exports. */
const maxEntries = 100_000;
const kinds: readonly ExternKind[] = ["function", "table", "memory", "global", "tag"];

/**
 * Reads the imports and exports of a core Wasm module; what else it holds is skipped, and not validated.
 * @throws SystemError `module-invalid`
 */
export function readModule(bytes: Uint8Array, what: string): ModuleInterface {
  const reader = createModuleReader(bytes, what);
  const sections = readSections(reader);
  const imports = findSection(reader, sections, sectionIds.import);
  const exportSection = findSection(reader, sections, sectionIds.export);
  return {
    imports: imports ? readEntries(reader, imports, readImport) : [],
    exports: exportSection ? readEntries(reader, exportSection, readExport) : [],
    exportSection,
    memorySection: findSection(reader, sections, sectionIds.memory),
    sections,
  };
}

function readEntries<T>(
  reader: ModuleReader,
  { id, start, end }: ModuleSection,
  read: (reader: ModuleReader) => T,
): readonly T[] {
  Object.assign(reader, { at: start, end });
  const count = reader.unsigned();
  if (count > maxEntries) throw reader.failure(start, `${count} entries`, `${maxEntries} at most`);
  const entries: T[] = [];
  while (entries.length < count) entries.push(read(reader));
  if (reader.at === end) return entries;
  throw reader.failure(reader.at, `more after the ${count} entries of section ${id}`, "its end");
}

function readExport(reader: ModuleReader): ModuleExport {
  const start = reader.at;
  const name = reader.name();
  const end = reader.at;
  const kind = readKind(reader);
  return { name, kind, index: reader.unsigned(), start, end };
}

function readImport(reader: ModuleReader): ModuleImport {
  const module = reader.name();
  const name = reader.name();
  const kind = readKind(reader);
  if (kind === "function") return { module, name, kind, type: reader.unsigned() };
  skipType[kind](reader);
  return { module, name, kind };
}

function readKind(reader: ModuleReader): ExternKind {
  const at = reader.at;
  const code = reader.byte();
  const kind = kinds[code];
  if (kind) return kind;
  throw reader.failure(at, `something of kind ${code}`, kinds.join(", "));
}

/** Steps over what an import says of its type. */
const skipType: Readonly<Record<Exclude<ExternKind, "function">, (reader: ModuleReader) => void>> = {
  table(reader) {
    skipValueType(reader);
    skipLimits(reader);
  },
  memory: skipLimits,
  global(reader) {
    skipValueType(reader);
    reader.byte();
  },
  tag(reader) {
    reader.byte();
    reader.unsigned();
  },
};

function skipValueType(reader: ModuleReader): void {
  const type = reader.byte();
  // A reference to a heap type; its signed number has the same length as an unsigned one.
  if (type === 0x63 || type === 0x64) for (let left = 5; left > 0 && reader.byte() >= 0x80; ) left--;
}

function skipLimits(reader: ModuleReader): void {
  readMemoryLimits(reader);
}

/** What a module says of a memory of its own, in pages of 64 KiB. */
export interface MemoryLimits {
  readonly flags: number;
  readonly initial: number;
  readonly maximum: number | undefined;
}

/**
 * Reads the limits of the memories that a module defines.
 * @throws SystemError `module-invalid`
 */
export function readMemories(
  bytes: Uint8Array,
  section: ModuleSection,
  what: string,
): readonly MemoryLimits[] {
  return readEntries(createModuleReader(bytes, what), section, readMemoryLimits);
}

function readMemoryLimits(reader: ModuleReader): MemoryLimits {
  const flags = reader.byte();
  const bits = flags & 4 ? 64 : 32;
  const initial = reader.unsigned(bits);
  return { flags, initial, maximum: flags & 1 ? reader.unsigned(bits) : undefined };
}
