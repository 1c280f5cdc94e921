import { section } from "./hand-made-module.ts";

/** What the sections of a module hold, each entry as bytes; in the order of a module. */
export interface Sections {
  readonly types?: readonly (readonly number[])[];
  readonly imports?: readonly (readonly number[])[];
  /** The types of the functions. */
  readonly functions?: readonly (readonly number[])[];
  readonly tables?: readonly (readonly number[])[];
  readonly memories?: readonly (readonly number[])[];
  readonly tags?: readonly (readonly number[])[];
  readonly globals?: readonly (readonly number[])[];
  readonly exports?: readonly (readonly number[])[];
  readonly elements?: readonly (readonly number[])[];
  /** With a count of data segments before the code. */
  readonly code?: readonly (readonly number[])[];
  readonly data?: readonly (readonly number[])[];
}

/** An unsigned LEB128, or a signed one of less than 64, in at least so many bytes. */
export function number(value: number, width = 1): number[] {
  return value < 0x80 && width <= 1
    ? [value]
    : [(value & 0x7f) | 0x80, ...number(Math.floor(value / 0x80), width - 1)];
}

/** A function's entry in the code section. */
export function body(instructions: readonly number[], locals: readonly number[] = [0]): number[] {
  const bytes = [...locals, ...instructions, 0x0b];
  return [...number(bytes.length), ...bytes];
}

/** A list of bytes with how many there are. */
export function counted(entries: readonly (readonly number[])[]): number[] {
  return [...number(entries.length), ...entries.flat()];
}

/** A module of these sections. */
export function assembleModule(sections: Sections): Uint8Array {
  const { types, imports, functions, tables, memories, tags, globals, exports, elements, code, data } =
    sections;
  const lists = [
    ...([
      [1, types],
      [2, imports],
      [3, functions],
      [4, tables],
      [5, memories],
      [13, tags],
    ] as const),
    ...([
      [6, globals],
      [7, exports],
      [9, elements],
    ] as const),
  ];
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...lists.flatMap(([id, entries]) => (entries ? section(id, counted(entries)) : [])),
    ...(data ? section(12, number(data.length)) : []),
    ...(code ? section(10, counted(code)) : []),
    ...(data ? section(11, counted(data)) : []),
  ]);
}
