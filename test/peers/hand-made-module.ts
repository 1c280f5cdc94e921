/** What a module made by hand has; a plugin that does nothing unless told otherwise. */
export interface HandMade {
  /** Functions without parameters or results, as `module.name`. */
  readonly imports?: readonly string[];
  /** Exported functions, besides what `allocator` names. */
  readonly markers?: readonly string[];
  readonly allocator?: string;
  readonly memory?: string;
  /** Ends in a trap when it gets its configuration. */
  readonly trapsAtStart?: boolean;
}

/** An unsigned LEB128. */
export function size(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...size(value >>> 7)];
}

/** Reads an unsigned LEB128; gives its value and where it ends. */
export function readSize(bytes: Uint8Array, at: number): readonly [value: number, end: number] {
  const next = bytes[at]!;
  if (next < 0x80) return [next, at + 1];
  const [rest, end] = readSize(bytes, at + 1);
  return [(next & 0x7f) + rest * 0x80, end];
}

/** A name in a Wasm module. */
export function text(name: string): number[] {
  const bytes = [...Buffer.from(name)];
  return [...size(bytes.length), ...bytes];
}

/** A section of a Wasm module. */
export function section(id: number, payload: readonly number[]): number[] {
  return [id, ...size(payload.length), ...payload];
}

const list = (entries: readonly (readonly number[])[]) => [...size(entries.length), ...entries.flat()];

/** A valid Wasm module put together from bytes. */
export function handMadeModule({
  imports = [],
  markers = ["proxy_abi_version_0_2_1"],
  allocator = "malloc",
  memory = "memory",
  trapsAtStart = false,
}: HandMade = {}): Uint8Array {
  const [allocate, nothing, trap] = [imports.length, imports.length + 1, imports.length + 2];
  const exported = [
    ...(memory === "" ? [] : [[...text(memory), 2, 0]]),
    ...(allocator === "" ? [] : [[...text(allocator), 0, ...size(allocate)]]),
    ...markers.map((marker) => [...text(marker), 0, ...size(nothing)]),
    ...(trapsAtStart ? [[...text("proxy_on_configure"), 0, ...size(trap)]] : []),
  ];
  const imported = imports.map((name) => {
    const dot = name.indexOf(".");
    return [...text(name.slice(0, dot)), ...text(name.slice(dot + 1)), 0, 0];
  });
  return Uint8Array.from([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, [3, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f, 0x60, 2, 0x7f, 0x7f, 1, 0x7f]),
    ...section(2, list(imported)),
    ...section(3, [3, 1, 0, 2]),
    ...section(5, [1, 0, 1]),
    ...section(7, list(exported)),
    // The allocator always gives address 8.
    ...section(10, [3, 4, 0, 0x41, 8, 0x0b, 2, 0, 0x0b, 3, 0, 0, 0x0b]),
  ]);
}
