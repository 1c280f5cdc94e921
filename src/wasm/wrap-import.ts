import { SystemError } from "../system-error.ts";
import { importName } from "./envoy-imports.ts";
import {
  readNumber,
  skipNumber,
  skipType,
  UnknownInstruction,
  walkConstant,
  walkInstructions,
} from "./instructions.ts";
import { applyEdits, type Edit, encodeNumber, resized } from "./module-edits.ts";
import { type ModuleSection, sectionIds } from "./module-reader.ts";
import type { ModuleInterface } from "./read-module.ts";

/** A function that takes the place of an import: what its entry in the code section says behind its length. */
export type CreateWrapper = (importIndex: number) => Uint8Array;

/**
 * Gives a module a function more, of the type of one of its imports, which is called wherever the module called the
 * import: by calls, by references to functions, in tables and where the import is exported again. No other function gets
 * another number. The result is a module that V8 takes.
 * @throws UnknownInstruction for what nobody here can walk over
 * @throws SystemError `module-invalid` for what is no module afterwards
 */
export function wrapImport(
  bytes: Uint8Array,
  module: ModuleInterface,
  name: string,
  createWrapper: CreateWrapper,
): Uint8Array {
  const functions = module.imports.filter(({ kind }) => kind === "function");
  const indices = functions.flatMap((each, index) => (importName(each) === name ? [index] : []));
  const [first] = indices;
  if (first === undefined) return bytes;
  const functionSection = requireSection(module, sectionIds.function);
  const [count, firstType] = readNumber(bytes, functionSection.start);
  const wrapper = functions.length + count;
  const redirect = createRedirect(bytes, new Set(indices), wrapper);
  const type = encodeNumber(functions[first]!.type!);
  const edits = module.sections.flatMap((section) =>
    section === functionSection
      ? resized(section, appended(section, count, firstType, type))
      : (editSection[section.id]?.(section, bytes, redirect, createWrapper(first)) ?? []),
  );
  return validated(applyEdits(bytes, edits), name);
}

/** Turns places with the index of a function into edits, of those which are to be another. */
type Redirect = (edits: Edit[]) => (at: number) => void;

function createRedirect(bytes: Uint8Array, from: ReadonlySet<number>, to: number): Redirect {
  const replacement = encodeNumber(to);
  return (edits) => (at) => {
    const [index, end] = readNumber(bytes, at);
    if (from.has(index)) edits.push({ start: at, end, bytes: replacement });
  };
}

type EditSection = (
  section: ModuleSection,
  bytes: Uint8Array,
  redirect: Redirect,
  wrapper: Uint8Array,
) => readonly Edit[];

const editSection: Readonly<Record<number, EditSection>> = {
  [sectionIds.table]: editEntries((bytes, at) => {
    if (bytes[at] === 0x40) throw new UnknownInstruction(at, "a table that says what is in it at first");
    return skipLimits(bytes, skipType(bytes, at));
  }),
  [sectionIds.global]: editEntries((bytes, at, visit) => walkConstant(bytes, skipType(bytes, at) + 1, visit)),
  [sectionIds.export]: editEntries((bytes, at, visit) => {
    const [length, start] = readNumber(bytes, at);
    const kind = start + length;
    if (bytes[kind] === 0) visit(kind + 1);
    return skipNumber(bytes, kind + 1);
  }),
  [sectionIds.element]: editEntries(walkElements),
  [sectionIds.code]: editCode,
};

/** Edits a section that is a list, given how to walk over one entry. */
function editEntries(
  walk: (bytes: Uint8Array, at: number, visit: (at: number) => void) => number,
): EditSection {
  return (section, bytes, redirect) => {
    const edits: Edit[] = [];
    const [count, first] = readNumber(bytes, section.start);
    let at = first;
    for (let left = count; left > 0 && at < section.end; left--) at = walk(bytes, at, redirect(edits));
    if (at !== section.end) throw new UnknownInstruction(at, `something unknown in section ${section.id}`);
    return resized(section, edits);
  };
}

/** One element segment; the bits of its first number say what there is of it. */
function walkElements(bytes: Uint8Array, start: number, visit: (at: number) => void): number {
  const [flags, behindFlags] = readNumber(bytes, start);
  if (flags > 7) throw new UnknownInstruction(start, `element segment ${flags}`);
  const hasOffset = (flags & 1) === 0;
  let at = behindFlags;
  if (hasOffset && flags & 2) at = skipNumber(bytes, at);
  if (hasOffset) at = walkConstant(bytes, at, visit);
  if (flags & 3) at = skipType(bytes, at);
  const [count, first] = readNumber(bytes, at);
  at = first;
  for (let left = count; left > 0; left--) {
    if (flags & 4) at = walkConstant(bytes, at, visit);
    else {
      visit(at);
      at = skipNumber(bytes, at);
    }
  }
  return at;
}

function editCode(
  section: ModuleSection,
  bytes: Uint8Array,
  redirect: Redirect,
  wrapper: Uint8Array,
): readonly Edit[] {
  const [count, first] = readNumber(bytes, section.start);
  const edits: Edit[] = [];
  let at = first;
  for (let left = count; left > 0; left--) {
    const [size, start] = readNumber(bytes, at);
    const body = { sizeAt: at, start, end: start + size };
    if (body.end > section.end)
      throw new UnknownInstruction(at, "a function that goes on behind its section");
    const own: Edit[] = [];
    walkInstructions(bytes, skipLocals(bytes, start), body.end, redirect(own));
    edits.push(...resized(body, own));
    at = body.end;
  }
  const [head, tail] = appended(
    section,
    count,
    first,
    Buffer.concat([encodeNumber(wrapper.length), wrapper]),
  );
  return resized(section, [head!, ...edits, tail!]);
}

/** A list with an entry more. */
function appended(
  { start, end }: ModuleSection,
  count: number,
  first: number,
  entry: Uint8Array,
): readonly Edit[] {
  return [
    { start, end: first, bytes: encodeNumber(count + 1) },
    { start: end, end, bytes: entry },
  ];
}

function skipLocals(bytes: Uint8Array, start: number): number {
  const [groups, first] = readNumber(bytes, start);
  let at = first;
  for (let left = groups; left > 0; left--) at = skipType(bytes, skipNumber(bytes, at));
  return at;
}

function skipLimits(bytes: Uint8Array, at: number): number {
  const minimum = skipNumber(bytes, at + 1);
  return bytes[at]! & 1 ? skipNumber(bytes, minimum) : minimum;
}

function requireSection({ sections }: ModuleInterface, id: number): ModuleSection {
  const section = sections.find((each) => each.id === id);
  if (section) return section;
  throw new SystemError("module-invalid", `a module without section ${id} has no function to call an import`);
}

/** What this needs of WebAssembly, for which the types of Node 20 have no declaration. */
interface WasmApi {
  validate(bytes: Uint8Array): boolean;
}

function validated(bytes: Uint8Array, name: string): Uint8Array {
  const { validate } = (globalThis as unknown as { WebAssembly: WasmApi }).WebAssembly;
  if (validate(bytes)) return bytes;
  throw new SystemError("module-invalid", `V8 does not take the module with a function around ${name}`);
}
