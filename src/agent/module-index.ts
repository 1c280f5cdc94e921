import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomically } from "../oci/write-file.ts";
import { errorText, SystemError } from "../system-error.ts";

/** What became of a module on its way to the gateway. */
export interface ModuleNotes {
  /** What was changed in it; undefined for nothing. */
  readonly adapted?: readonly string[];
  /** What should have been changed and could not be, and what follows from that. */
  readonly warning?: string;
}

/** What a URL was found to stand for. */
export interface ModuleSource extends ModuleNotes {
  /** The SHA-256 of the module, hexadecimal. */
  readonly module: string;
  /** The SHA-256 of what was pulled, hexadecimal, where that was changed to become the module. */
  readonly pulled?: string;
  /** What the module was prepared for; undefined for nothing in particular. */
  readonly preparedFor?: string;
  /** Of an image: the digests of its manifest and of the index above it. */
  readonly digests: readonly string[];
  /** Of an image: registry and repository. */
  readonly repository?: string;
}

/** What `index.json` of a module cache holds. */
export interface ModuleIndex {
  /** By the key of the origin. */
  readonly sources: Map<string, ModuleSource>;
  /** By the digest of an image's manifest. Noted before the module is stored, so that it may not be there. */
  readonly images: Map<string, ModuleSource>;
  /** When each module was last asked for, by its SHA-256; milliseconds since 1970. */
  readonly lastUsed: Map<string, number>;
}

const hex = /^[0-9a-f]{64}$/;

/**
 * Reads a module cache's index. One that is absent is empty, and so is one that is broken, with a warning: it only saves
 * downloads.
 * @throws SystemError `disk`
 */
export async function readModuleIndex(
  directory: string,
  warn: (message: string) => void,
): Promise<ModuleIndex> {
  const file = join(directory, "index.json");
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return "{}";
    throw SystemError.from(error, "disk", `reading ${file}`);
  });
  try {
    return parseIndex(JSON.parse(text));
  } catch (error) {
    warn(`${file} is broken and is begun anew: ${errorText(error)}`);
    return { sources: new Map(), images: new Map(), lastUsed: new Map() };
  }
}

/** @throws what the file system throws */
export async function writeModuleIndex(
  directory: string,
  { sources, images, lastUsed }: ModuleIndex,
): Promise<void> {
  const value = {
    version: 1,
    sources: Object.fromEntries(sources),
    images: Object.fromEntries(images),
    lastUsed: Object.fromEntries(lastUsed),
  };
  await writeFileAtomically(join(directory, "index.json"), Buffer.from(JSON.stringify(value)));
}

function parseIndex(value: { sources?: unknown; images?: unknown; lastUsed?: unknown }): ModuleIndex {
  const sources = readSources(value.sources);
  const lastUsed = Object.entries(value.lastUsed ?? {}).filter(
    (entry): entry is [string, number] => hex.test(entry[0]) && typeof entry[1] === "number",
  );
  // What was written before there were images says the same in its sources.
  const known = sources.flatMap(([, source]) =>
    source.digests[0] ? [[source.digests[0], source] as const] : [],
  );
  return {
    sources: new Map(sources),
    images: new Map([...known, ...readSources(value.images)]),
    lastUsed: new Map(lastUsed),
  };
}

function readSources(value: unknown): readonly (readonly [string, ModuleSource])[] {
  return Object.entries(value ?? {}).flatMap(([key, entry]) => {
    const source = readSource(entry);
    return source ? [[key, source] as const] : [];
  });
}

function readSource(value: unknown): ModuleSource | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { module, pulled, preparedFor, adapted, warning, digests, repository } = value as Record<
    string,
    unknown
  >;
  if (typeof module !== "string" || !hex.test(module) || !Array.isArray(digests)) return undefined;
  return {
    module,
    ...(typeof pulled === "string" && hex.test(pulled) && { pulled }),
    ...(typeof preparedFor === "string" && { preparedFor }),
    ...(Array.isArray(adapted) && { adapted: adapted.filter(isText) }),
    ...(typeof warning === "string" && { warning }),
    digests: digests.filter(isText),
    ...(typeof repository === "string" && { repository }),
  };
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

/** The notes in something that has more. */
export function notesOf({ adapted, warning }: ModuleNotes): ModuleNotes {
  return { ...(adapted && { adapted }), ...(warning !== undefined && { warning }) };
}
