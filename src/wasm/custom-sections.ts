import { createModuleReader, type ModuleSection } from "./module-reader.ts";

/** A section without meaning to who runs a module: what tools leave there. */
export interface CustomSection {
  readonly name: string;
  /** Behind the name. */
  readonly start: number;
  readonly end: number;
}

/** What a tool says of itself in section `producers`: `language` and `processed-by`, each with names and versions. */
export interface Producer {
  readonly field: string;
  readonly name: string;
  readonly version: string;
}

const customId = 0;
const maxProducers = 1000;

/**
 * Reads the names of a module's custom sections.
 * @throws SystemError `module-invalid`
 */
export function readCustomSections(
  bytes: Uint8Array,
  sections: readonly ModuleSection[],
  what: string,
): readonly CustomSection[] {
  return sections
    .filter(({ id }) => id === customId)
    .map(({ start, end }) => {
      const reader = Object.assign(createModuleReader(bytes, what), { at: start, end });
      return { name: reader.name(), start: reader.at, end };
    });
}

/**
 * Reads section `producers` of the tool conventions.
 * @throws SystemError `module-invalid`
 */
export function readProducers(
  bytes: Uint8Array,
  { start, end }: CustomSection,
  what: string,
): readonly Producer[] {
  const reader = Object.assign(createModuleReader(bytes, what), { at: start, end });
  const producers: Producer[] = [];
  for (let fields = reader.unsigned(); fields > 0; fields--) {
    const field = reader.name();
    for (let values = reader.unsigned(); values > 0; values--) {
      if (producers.push({ field, name: reader.name(), version: reader.name() }) > maxProducers)
        throw reader.failure(reader.at, `more than ${maxProducers} producers`, "fewer");
    }
  }
  return producers;
}
