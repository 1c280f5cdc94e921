import type { SharedHeap } from "./shared-heap.ts";
import { field, RecordKind, type SharedIndex } from "./shared-index.ts";
import { maxQueues, place, queueTable, type SharedMemory, wakeWord } from "./shared-memory.ts";

/** The queues of all vm_ids and threads. Ids count from 1. */
export interface SharedQueues {
  /**
   * Makes the queue, or takes it over with what is in it: from then on `onReady` is called, in this thread and from its
   * event loop, once for each message that is enqueued. Does not keep the thread alive. `full`: there is no room, or
   * there are 4095 queues (INTERNAL_FAILURE).
   */
  register(vmId: string, name: string, onReady: () => void): number | "full";
  resolve(vmId: string, name: string): number | undefined;
  /** False: no such queue. `full`: there is no room (INTERNAL_FAILURE). */
  enqueue(id: number, bytes: Uint8Array): boolean | "full";
  /** Undefined: no such queue. */
  dequeue(id: number): Uint8Array | "empty" | undefined;
}

const [idOf, headOf, tailOf, ownerOf, pendingOf] = [field.a, field.b, field.c, field.d, field.e];
/** Words of a message in front of its bytes. */
const message = { next: 0, length: 1, content: 2 } as const;

export function createSharedQueues(memory: SharedMemory, heap: SharedHeap, index: SharedIndex): SharedQueues {
  const { words } = memory;
  const ready = createReadyCalls(memory);
  return {
    register(vmId, name, onReady) {
      const id = memory.locked(() => own(memory, index, vmId, name));
      if (id === 0) return "full";
      ready.follow(id, onReady);
      return id;
    },
    resolve: (vmId, name) =>
      memory.locked(() => {
        const record = index.find(RecordKind.Queue, vmId, name);
        return record === 0 ? undefined : words[record + idOf]!;
      }),
    enqueue: (id, bytes) =>
      memory.locked(() => {
        const record = recordOf(words, id);
        return record === 0 ? false : append(memory, heap, record, bytes);
      }),
    dequeue: (id) =>
      memory.locked(() => {
        const record = recordOf(words, id);
        return record === 0 ? undefined : takeFirst(memory, heap, record);
      }),
  };
}

function recordOf(words: Int32Array, id: number): number {
  return id > 0 && id < maxQueues ? words[queueTable + id]! : 0;
}

/** Makes this thread the queue's owner. Returns its id, or 0 if there is no room for a new one. */
function own(memory: SharedMemory, index: SharedIndex, vmId: string, name: string): number {
  const { words, put } = memory;
  const record = index.find(RecordKind.Queue, vmId, name) || createQueue(memory, index, vmId, name);
  if (record === 0) return 0;
  put(record + ownerOf, memory.thread);
  // What became ready for an owner that did not live to see it.
  if (words[record + pendingOf]! > 0) wake(memory, memory.thread);
  return words[record + idOf]!;
}

function createQueue({ words, put }: SharedMemory, index: SharedIndex, vmId: string, name: string): number {
  const id = nextId(words);
  const record = id === 0 ? 0 : index.create(RecordKind.Queue, vmId, name);
  if (record === 0) return 0;
  words[record + idOf] = id;
  put(place.lastQueue, id);
  put(queueTable + id, record);
  return record;
}

/** The id after the last one that no queue has, or 0. */
function nextId(words: Int32Array): number {
  for (let step = 1; step < maxQueues; step++) {
    const id = ((words[place.lastQueue]! + step - 1) % (maxQueues - 1)) + 1;
    if (words[queueTable + id] === 0) return id;
  }
  return 0;
}

function append(memory: SharedMemory, heap: SharedHeap, record: number, bytes: Uint8Array): true | "full" {
  const { words, put } = memory;
  const added = heap.allocate(message.content * 4 + bytes.length);
  if (added === 0) return "full";
  words[added + message.next] = 0;
  words[added + message.length] = bytes.length;
  heap.write(added + message.content, bytes);
  const tail = words[record + tailOf]!;
  put(tail === 0 ? record + headOf : tail + message.next, added);
  put(record + tailOf, added);
  put(record + pendingOf, words[record + pendingOf]! + 1);
  // Within the lock: who is woken waits for it, and no message is there of which its owner does not know.
  wake(memory, words[record + ownerOf]!);
  return true;
}

function takeFirst({ words, put }: SharedMemory, heap: SharedHeap, record: number): Uint8Array | "empty" {
  const first = words[record + headOf]!;
  if (first === 0) return "empty";
  const bytes = heap.read(first + message.content, words[first + message.length]!);
  const next = words[first + message.next]!;
  put(record + headOf, next);
  if (next === 0) put(record + tailOf, 0);
  heap.free(first);
  return bytes;
}

/** Takes one message out of the queue, or the queue away when none is left. Inside of `locked`; true when it is gone. */
export function shrinkQueue(
  memory: SharedMemory,
  heap: SharedHeap,
  index: SharedIndex,
  record: number,
): void {
  if (takeFirst(memory, heap, record) !== "empty") return;
  memory.put(queueTable + memory.words[record + idOf]!, 0);
  index.remove(record);
}

function wake({ words }: SharedMemory, thread: number): void {
  Atomics.add(words, wakeWord(thread), 1);
  Atomics.notify(words, wakeWord(thread));
}

type WaitResult =
  | { readonly async: false; readonly value: string }
  | { readonly async: true; readonly value: Promise<string> };

/** Node has it since 16, the library's types of ES2023 do not. */
const { waitAsync } = Atomics as unknown as {
  waitAsync(words: Int32Array, at: number, expected: number): WaitResult;
};

/** Calls the callbacks of this thread's queues. */
function createReadyCalls(memory: SharedMemory) {
  const callbacks = new Map<number, () => void>();
  const deliver = () => {
    for (const [id, onReady] of callbacks) {
      // An error of a callback is its thread's uncaught exception, and stops no other delivery.
      for (let count = memory.locked(() => takePending(memory, id)); count > 0; count--)
        queueMicrotask(onReady);
    }
  };
  return {
    follow(id: number, onReady: () => void): void {
      const isFirst = callbacks.size === 0;
      callbacks.set(id, onReady);
      if (isFirst) void followWakes(memory, deliver);
    },
  };
}

/** How often the queue became ready since the last time, if it is this thread's. */
function takePending({ words, put, thread }: SharedMemory, id: number): number {
  const record = recordOf(words, id);
  if (record === 0 || words[record + ownerOf] !== thread) return 0;
  const count = words[record + pendingOf]!;
  if (count > 0) put(record + pendingOf, 0);
  return count;
}

/** Calls `deliver` whenever this thread is woken, as long as it lives. Waiting in this way does not keep it alive. */
async function followWakes(memory: SharedMemory, deliver: () => void): Promise<never> {
  const at = wakeWord(memory.thread);
  for (;;) {
    const seen = Atomics.load(memory.words, at);
    deliver();
    const waiting = waitAsync(memory.words, at, seen);
    // Others have their turn of the event loop, even when messages never end.
    await (waiting.async ? waiting.value : new Promise((resolve) => setImmediate(resolve)));
  }
}
