import type { SharedHeap } from "./shared-heap.ts";
import { bucketTable, place, type SharedMemory } from "./shared-memory.ts";

/** What a record is. Its scope is a vm_id, or empty. */
export const RecordKind = { Data: 1, Queue: 2, Metric: 3 } as const;
export type RecordKind = (typeof RecordKind)[keyof typeof RecordKind];

/** Words of a record. What `a` to `e` mean is up to its kind. */
export const field = { next: 0, hash: 1, keyLength: 2, a: 3, b: 4, c: 5, d: 6, e: 7 } as const;
const recordWords = 8;

/** Of scope and name together, in UTF-8. */
const maxKeyBytes = 64 * 1024;
const scopeAt = 5;

export interface SharedIndex {
  /** The record of that kind, scope and name, or 0. Inside of `locked`, like all of these. */
  find(kind: RecordKind, scope: string, name: string): number;
  /** Makes the record; 0 if there is no room for it, or its key is too long. There must be none of that key. */
  create(kind: RecordKind, scope: string, name: string): number;
  remove(record: number): void;
  kindOf(record: number): RecordKind;
  nameOf(record: number): string;
  /** Any record of that scope in a bucket, or 0. */
  findInBucket(bucket: number, kinds: readonly RecordKind[], scope: string): number;
  readonly buckets: number;
}

/** A hash table: each key is its kind, the length of its scope, scope and name, so that no two have the same bytes. */
export function openSharedIndex(memory: SharedMemory, heap: SharedHeap): SharedIndex {
  const { words, bytes, put } = memory;
  const buckets = words[place.bucketCount]!;
  const key = Buffer.allocUnsafe(maxKeyBytes);
  const bucketOf = (hash: number) => bucketTable + (hash & (buckets - 1));
  const hasKey = (record: number, length: number) => {
    const start = (record + recordWords) * 4;
    for (let i = 0; i < length; i++) if (bytes[start + i] !== key[i]) return false;
    return true;
  };
  const isOf = (record: number, length: number, hash: number) =>
    words[record + field.hash] === hash &&
    words[record + field.keyLength] === length &&
    hasKey(record, length);
  return {
    buckets,
    find(kind, scope, name) {
      const length = encodeKey(key, kind, scope, name);
      const hash = hashOf(key, length);
      let record = length === 0 ? 0 : words[bucketOf(hash)]!;
      while (record !== 0 && !isOf(record, length, hash)) record = words[record + field.next]!;
      return record;
    },
    create(kind, scope, name) {
      const length = encodeKey(key, kind, scope, name);
      const record = length === 0 ? 0 : heap.allocate(recordWords * 4 + length);
      if (record === 0) return 0;
      const hash = hashOf(key, length);
      words.fill(0, record, record + recordWords);
      words[record + field.hash] = hash;
      words[record + field.keyLength] = length;
      heap.write(record + recordWords, key.subarray(0, length));
      words[record + field.next] = words[bucketOf(hash)]!;
      put(bucketOf(hash), record);
      return record;
    },
    remove(record) {
      let link = bucketOf(words[record + field.hash]!);
      while (words[link] !== record) link = words[link]! + field.next;
      put(link, words[record + field.next]!);
      heap.free(record);
    },
    kindOf: (record) => bytes[(record + recordWords) * 4] as RecordKind,
    nameOf(record) {
      const found = Buffer.from(heap.read(record + recordWords, words[record + field.keyLength]!));
      return found.toString("utf8", scopeAt + found.readUInt32LE(1));
    },
    findInBucket(bucket, kinds, scope) {
      const length = encodeKey(key, kinds[0]!, scope, "");
      let record = length === 0 ? 0 : words[bucketTable + bucket]!;
      while (record !== 0) {
        const start = (record + recordWords) * 4;
        const ofKind = kinds.includes(bytes[start] as RecordKind);
        if (
          ofKind &&
          Buffer.compare(key.subarray(1, length), bytes.subarray(start + 1, start + length)) === 0
        )
          return record;
        record = words[record + field.next]!;
      }
      return 0;
    },
  };
}

/** Returns its length, or 0 if it is too long. */
function encodeKey(key: Buffer, kind: RecordKind, scope: string, name: string): number {
  // UTF-8 has at most three bytes for each unit of a string; where they may be too many they are counted.
  const most = 3 * (scope.length + name.length);
  const room = maxKeyBytes - scopeAt;
  if (most > room && Buffer.byteLength(scope) + Buffer.byteLength(name) > room) return 0;
  const scopeBytes = key.write(scope, scopeAt);
  key[0] = kind;
  key.writeUInt32LE(scopeBytes, 1);
  return scopeAt + scopeBytes + key.write(name, scopeAt + scopeBytes);
}

/** FNV-1a. */
function hashOf(key: Uint8Array, length: number): number {
  let hash = 0x811c_9dc5;
  for (let i = 0; i < length; i++) hash = Math.imul(hash ^ key[i]!, 0x0100_0193);
  return hash;
}
