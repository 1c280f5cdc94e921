import { SystemError } from "./system-error.ts";

/** What a Wasm module imports or exports. */
export type ExternKind = "function" | "table" | "memory" | "global" | "tag";

export interface ModuleImport {
  readonly module: string;
  readonly name: string;
  readonly kind: ExternKind;
}

export interface ModuleExport {
  readonly name: string;
  readonly kind: ExternKind;
  /** Where the name with its length stands in the module, from its first byte to behind its last. */
  readonly start: number;
  readonly end: number;
}

/** A section of a Wasm module. */
export interface ModuleSection {
  readonly id: number;
  /** Where its length stands, behind the byte with its id. */
  readonly sizeAt: number;
  readonly start: number;
  readonly end: number;
}

/** What a Wasm module says of itself to who loads it. */
export interface ModuleInterface {
  readonly imports: readonly ModuleImport[];
  readonly exports: readonly ModuleExport[];
  readonly exportSection: ModuleSection | undefined;
  readonly memorySection: ModuleSection | undefined;
}

const importId = 2;
const memoryId = 5;
const exportId = 7;
/** V8's limit for imports as for exports. */
const maxEntries = 100_000;
const kinds: readonly ExternKind[] = ["function", "table", "memory", "global", "tag"];

/**
 * Reads the imports and exports of a core Wasm module; what else it holds is skipped, and not validated.
 * @throws SystemError `module-invalid`
 */
export function readModule(bytes: Uint8Array, what: string): ModuleInterface {
  const reader = createReader(bytes, what);
  if (Buffer.from(bytes.subarray(0, 8)).toString("hex") !== "0061736d01000000")
    throw reader.failure(0, "no header of a Wasm module", "00 61 73 6d 01 00 00 00");
  const sections = readSections(reader);
  const imports = findOnly(reader, sections, importId);
  const exportSection = findOnly(reader, sections, exportId);
  return {
    imports: imports ? readEntries(reader, imports, readImport) : [],
    exports: exportSection ? readEntries(reader, exportSection, readExport) : [],
    exportSection,
    memorySection: findOnly(reader, sections, memoryId),
  };
}

type Reader = ReturnType<typeof createReader>;

/** Reads a module from front to back, never beyond `end`. */
function createReader(bytes: Uint8Array, what: string) {
  const text = new TextDecoder("utf-8", { fatal: true });
  const reader = { at: 8, end: bytes.length, failure, byte, unsigned, take, name };
  return reader;

  function failure(at: number, found: string, expected: string): SystemError {
    return new SystemError(
      "module-invalid",
      `${what}: broken Wasm module: found ${found} at byte ${at} of ${bytes.length}; expected ${expected}`,
    );
  }

  function byte(): number {
    const value = reader.at < reader.end ? bytes[reader.at] : undefined;
    if (value === undefined) throw failure(reader.at, "the end", "another byte");
    reader.at++;
    return value;
  }

  /** An unsigned LEB128 of at most so many bits; as a number, exact up to 53 of them. */
  function unsigned(bits: 32 | 64 = 32): number {
    const start = reader.at;
    let value = 0;
    for (let shift = 0; shift < bits; shift += 7) {
      const next = byte();
      const low = next & 0x7f;
      if (shift + 7 > bits && low >= 2 ** (bits - shift)) break;
      value += low * 2 ** shift;
      if (next < 0x80) return value;
    }
    throw failure(start, `a number of more than ${bits} bits`, `LEB128 of ${bits} bits at most`);
  }

  /** Steps over so many bytes; gives where they began. */
  function take(size: number, item: string): number {
    const start = reader.at;
    if (size > reader.end - start)
      throw failure(start, `${item} of ${size} bytes`, `at most the ${reader.end - start} that are left`);
    reader.at += size;
    return start;
  }

  function name(): string {
    const size = unsigned();
    const start = take(size, "a name");
    try {
      return text.decode(bytes.subarray(start, start + size));
    } catch {
      throw failure(start, "a name that is no UTF-8", "UTF-8");
    }
  }
}

function readSections(reader: Reader): readonly ModuleSection[] {
  const sections: ModuleSection[] = [];
  while (reader.at < reader.end) {
    const id = reader.byte();
    const sizeAt = reader.at;
    const size = reader.unsigned();
    const start = reader.take(size, `section ${id}`);
    sections.push({ id, sizeAt, start, end: start + size });
  }
  return sections;
}

function findOnly(reader: Reader, sections: readonly ModuleSection[], id: number): ModuleSection | undefined {
  const [section, second] = sections.filter((each) => each.id === id);
  if (second) throw reader.failure(second.start, `section ${id} a second time`, "it once");
  return section;
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
  return readEntries(createReader(bytes, what), section, readMemoryLimits);
}

function readMemoryLimits(reader: Reader): MemoryLimits {
  const flags = reader.byte();
  const bits = flags & 4 ? 64 : 32;
  const initial = reader.unsigned(bits);
  return { flags, initial, maximum: flags & 1 ? reader.unsigned(bits) : undefined };
}

function readEntries<T>(
  reader: Reader,
  { id, start, end }: ModuleSection,
  read: (reader: Reader) => T,
): readonly T[] {
  Object.assign(reader, { at: start, end });
  const count = reader.unsigned();
  if (count > maxEntries) throw reader.failure(start, `${count} entries`, `${maxEntries} at most`);
  const entries: T[] = [];
  while (entries.length < count) entries.push(read(reader));
  if (reader.at === end) return entries;
  throw reader.failure(reader.at, `more after the ${count} entries of section ${id}`, "its end");
}

function readExport(reader: Reader): ModuleExport {
  const start = reader.at;
  const name = reader.name();
  const end = reader.at;
  const kind = readKind(reader);
  reader.unsigned();
  return { name, kind, start, end };
}

function readImport(reader: Reader): ModuleImport {
  const module = reader.name();
  const name = reader.name();
  const kind = readKind(reader);
  skipType[kind](reader);
  return { module, name, kind };
}

function readKind(reader: Reader): ExternKind {
  const at = reader.at;
  const code = reader.byte();
  const kind = kinds[code];
  if (kind) return kind;
  throw reader.failure(at, `something of kind ${code}`, kinds.join(", "));
}

/** Steps over what an import says of its type. */
const skipType: Readonly<Record<ExternKind, (reader: Reader) => void>> = {
  function: (reader) => void reader.unsigned(),
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

function skipValueType(reader: Reader): void {
  const type = reader.byte();
  // A reference to a heap type; its signed number has the same length as an unsigned one.
  if (type === 0x63 || type === 0x64) for (let left = 5; left > 0 && reader.byte() >= 0x80; ) left--;
}

function skipLimits(reader: Reader): void {
  readMemoryLimits(reader);
}
