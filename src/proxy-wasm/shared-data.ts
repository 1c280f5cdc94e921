import type { SharedHeap } from "./shared-heap.ts";
import { field, RecordKind, type SharedIndex } from "./shared-index.ts";
import { place, type SharedMemory } from "./shared-memory.ts";

/** The shared data of one vm_id, the same for all threads. */
export interface SharedData {
  get(key: string): { readonly value: Uint8Array; readonly cas: number } | undefined;
  /**
   * True when it was set; false when the key's value is not the one of that `cas` any more. A `cas` of 0 sets whatever is
   * there, and a key that is not there is set whatever the `cas`. `full`: there is no room (INTERNAL_FAILURE).
   */
  set(key: string, value: Uint8Array, cas: number): boolean | "full";
}

const [casOf, blockOf, lengthOf] = [field.a, field.b, field.c];

export function createSharedData(
  memory: SharedMemory,
  heap: SharedHeap,
  index: SharedIndex,
  vmId: string,
): SharedData {
  const { words, put } = memory;
  const read = (key: string) => {
    const record = index.find(RecordKind.Data, vmId, key);
    if (record === 0) return undefined;
    const value = heap.read(words[record + blockOf]!, words[record + lengthOf]!);
    return { value, cas: words[record + casOf]! >>> 0 };
  };
  const write = (key: string, value: Uint8Array, cas: number) => {
    const known = index.find(RecordKind.Data, vmId, key);
    if (known !== 0 && cas !== 0 && cas !== words[known + casOf]! >>> 0) return false;
    const block = value.length === 0 ? 0 : heap.allocate(value.length);
    if (block === 0 && value.length > 0) return "full";
    heap.write(block, value);
    const record = known || index.create(RecordKind.Data, vmId, key);
    if (record === 0) {
      if (block !== 0) heap.free(block);
      return "full";
    }
    const old = words[record + blockOf]!;
    put(record + casOf, nextCas());
    put(record + blockOf, block);
    put(record + lengthOf, value.length);
    if (old !== 0) heap.free(old);
    return true;
  };
  /** One counter for all keys, as in proxy-wasm-cpp-host. */
  const nextCas = () => {
    put(place.lastCas, (words[place.lastCas]! + 1) | 0 || 1);
    return words[place.lastCas]!;
  };
  return {
    get: (key) => memory.locked(() => read(key)),
    set: (key, value, cas) => memory.locked(() => write(key, value, cas)),
  };
}

/** Gives a record of shared data and its value back. Inside of `locked`. */
export function removeData(memory: SharedMemory, heap: SharedHeap, index: SharedIndex, record: number): void {
  const value = memory.words[record + blockOf]!;
  if (value !== 0) heap.free(value);
  index.remove(record);
}
