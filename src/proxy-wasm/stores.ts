import { createMetricStore, type MetricStore } from "./metric-store.ts";
import { createSharedData, removeData, type SharedData } from "./shared-data.ts";
import { formatHeap, openSharedHeap, type SharedHeap } from "./shared-heap.ts";
import { openSharedIndex, RecordKind, type SharedIndex } from "./shared-index.ts";
import { bucketTable, openSharedMemory, place, type SharedMemory } from "./shared-memory.ts";
import { createSharedQueues, type SharedQueues, shrinkQueue } from "./shared-queues.ts";

export interface StoresOptions {
  /** Of everything that guests store together, with what it takes to find it again. 64 MiB. Taken from the system as it is used. */
  readonly maxBytes?: number;
}

/** What the guests of all threads share: data and queues by vm_id, and metrics. Everything is synchronous. */
export interface Stores {
  sharedData(vmId: string): SharedData;
  readonly queues: SharedQueues;
  readonly metrics: MetricStore;
  /** What `attachStores` takes in another thread. */
  share(): SharedStoresToken;
  /** Forgets data and queues of a vm_id, as when its last VM is gone. Metrics stay. */
  deleteVm(vmId: string): void;
  usedBytes(): number;
}

/** May be sent to a worker as it is. */
export interface SharedStoresToken {
  readonly memory: SharedArrayBuffer;
}

const defaultBytes = 64 * 1024 * 1024;
const leastBytes = 1024 * 1024;
const mostBytes = 1024 * 1024 * 1024;

export function createStores({ maxBytes = defaultBytes }: StoresOptions = {}): Stores {
  const size = Math.min(Math.max(maxBytes, leastBytes), mostBytes);
  // A whole number of 64 bits.
  const buffer = new SharedArrayBuffer(size & ~7);
  const memory = openSharedMemory(buffer);
  // One for each 1 KiB: values are rather larger.
  const buckets = 2 ** Math.floor(Math.log2(size / 1024));
  memory.words[place.bucketCount] = buckets;
  formatHeap(memory, bucketTable + buckets);
  return openStores(buffer, memory);
}

/** The same stores in another thread. */
export function attachStores({ memory }: SharedStoresToken): Stores {
  return openStores(memory, openSharedMemory(memory));
}

function openStores(buffer: SharedArrayBuffer, memory: SharedMemory): Stores {
  const heap = openSharedHeap(memory);
  const index = openSharedIndex(memory, heap);
  return {
    sharedData: (vmId) => createSharedData(memory, heap, index, vmId),
    queues: createSharedQueues(memory, heap, index),
    metrics: createMetricStore(memory, heap, index),
    share: () => ({ memory: buffer }),
    deleteVm(vmId) {
      for (let bucket = 0; bucket < index.buckets; bucket++)
        while (memory.locked(() => deleteOne(memory, heap, index, bucket, vmId)));
    },
    usedBytes: () => heap.usedBytes(),
  };
}

/** Deletes a value or a message; the lock is for others in between. False when the bucket has none. */
function deleteOne(
  memory: SharedMemory,
  heap: SharedHeap,
  index: SharedIndex,
  bucket: number,
  vmId: string,
): boolean {
  const record = index.findInBucket(bucket, [RecordKind.Data, RecordKind.Queue], vmId);
  if (record === 0) return false;
  if (index.kindOf(record) === RecordKind.Data) removeData(memory, heap, index, record);
  else shrinkQueue(memory, heap, index, record);
  return true;
}
