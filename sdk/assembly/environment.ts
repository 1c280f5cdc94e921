import { decodeText } from "./text";

// The only part of WASI that the library can need. A module that does not call this does not import it.

@external("wasi_snapshot_preview1", "environ_sizes_get")
declare function environ_sizes_get(count: usize, size: usize): u32;

@external("wasi_snapshot_preview1", "environ_get")
declare function environ_get(entries: usize, text: usize): u32;

/** Environment variables of the VM (`vmConfig.env` of a WasmPlugin), by name. */
export function readEnvironment(): Map<string, string> {
  const variables = new Map<string, string>();
  const sizes = new StaticArray<u32>(2);
  const sizesAt = changetype<usize>(sizes);
  if (environ_sizes_get(sizesAt, sizesAt + 4) != 0) return variables;
  const entries = new StaticArray<u32>(sizes[0]);
  const text = new ArrayBuffer(sizes[1]);
  if (environ_get(changetype<usize>(entries), changetype<usize>(text)) != 0) return variables;
  const end = changetype<usize>(text) + text.byteLength;
  for (let i = 0; i < entries.length; i++) addVariable(variables, entries[i], end);
  return variables;
}

function addVariable(variables: Map<string, string>, start: usize, end: usize): void {
  let at = start;
  while (at < end && load<u8>(at) != 0) at++;
  const entry = decodeText(start, at - start);
  const mark = entry.indexOf("=");
  if (mark > 0) variables.set(entry.substring(0, mark), entry.substring(mark + 1));
}
