import { createModuleReader, findSection, type ModuleReader, sectionIds } from "./module-reader.ts";
import type { ModuleInterface } from "./read-module.ts";

/** The types of what a module imports and exports, as texts: `iI>i` takes an i32 and an i64 and gives an i32. */
export interface FunctionTypes {
  /** Undefined for what is no function of the first version's types. */
  ofType(index: number): string | undefined;
  ofFunction(index: number): string | undefined;
}

const letters: ReadonlyMap<number, string> = new Map([
  [0x7f, "i"],
  [0x7e, "I"],
  [0x7d, "f"],
  [0x7c, "F"],
]);
const functionForm = 0x60;

/**
 * Reads the types of a module's functions. Those behind a type of another form are left out.
 * @throws SystemError `module-invalid`
 */
export function readFunctionTypes(bytes: Uint8Array, module: ModuleInterface, what: string): FunctionTypes {
  const reader = createModuleReader(bytes, what);
  const types = readList(reader, module, sectionIds.type, readType);
  const defined = readList(reader, module, sectionIds.function, () => reader.unsigned());
  const imported = module.imports.flatMap(({ kind, type }) => (kind === "function" ? [type!] : []));
  const ofType = (index: number) => types[index];
  return {
    ofType,
    ofFunction(index) {
      const type = index < imported.length ? imported[index] : defined[index - imported.length];
      return type === undefined ? undefined : ofType(type);
    },
  };
}

/** The entries of a section, up to the first that `read` does not know. */
function readList<T>(
  reader: ModuleReader,
  { sections }: ModuleInterface,
  id: number,
  read: (reader: ModuleReader) => T | undefined,
): readonly T[] {
  const section = findSection(reader, sections, id);
  const entries: T[] = [];
  if (!section) return entries;
  Object.assign(reader, { at: section.start, end: section.end });
  for (let left = reader.unsigned(); left > 0; left--) {
    const entry = read(reader);
    if (entry === undefined) break;
    entries.push(entry);
  }
  return entries;
}

function readType(reader: ModuleReader): string | undefined {
  if (reader.byte() !== functionForm) return undefined;
  const parameters = readValueTypes(reader);
  const results = parameters === undefined ? undefined : readValueTypes(reader);
  return results === undefined ? undefined : `${parameters}>${results}`;
}

/** A letter for each; undefined if one is no number. */
function readValueTypes(reader: ModuleReader): string | undefined {
  let text = "";
  for (let left = reader.unsigned(); left > 0; left--) {
    const letter = letters.get(reader.byte());
    if (letter === undefined) return undefined;
    text += letter;
  }
  return text;
}
