import { SystemError } from "../system-error.ts";

/** A section of a Wasm module. */
export interface ModuleSection {
  readonly id: number;
  /** Where its length stands, behind the byte with its id. */
  readonly sizeAt: number;
  readonly start: number;
  readonly end: number;
}

/** The ids of the sections that somebody here looks into. */
export const sectionIds = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  element: 9,
  code: 10,
} as const;

/** Reads a module from `at`, never beyond `end`; what is not there it throws as a SystemError `module-invalid`. */
export type ModuleReader = ReturnType<typeof createModuleReader>;

/**
 * Reads what begins as a Wasm module does, from behind its header to its end. `what` begins messages.
 * @throws SystemError `module-invalid`, as all its functions do
 */
export function createModuleReader(bytes: Uint8Array, what: string) {
  const text = new TextDecoder("utf-8", { fatal: true });
  const reader = { at: 8, end: bytes.length, failure, byte, unsigned, take, name };
  if (Buffer.from(bytes.subarray(0, 8)).toString("hex") !== "0061736d01000000")
    throw failure(0, "no header of a Wasm module", "00 61 73 6d 01 00 00 00");
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

/** All sections from where the reader is. */
export function readSections(reader: ModuleReader): readonly ModuleSection[] {
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

/** The section of that id, of which there may be one at most. */
export function findSection(
  reader: ModuleReader,
  sections: readonly ModuleSection[],
  id: number,
): ModuleSection | undefined {
  const [section, second] = sections.filter((each) => each.id === id);
  if (second) throw reader.failure(second.start, `section ${id} a second time`, "it once");
  return section;
}
