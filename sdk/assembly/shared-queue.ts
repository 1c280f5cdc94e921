import {
  proxy_dequeue_shared_queue,
  proxy_enqueue_shared_queue,
  proxy_register_shared_queue,
  proxy_resolve_shared_queue,
} from "./abi";
import { Status } from "./enums";
import { addressSlot, sizeSlot, takeBytes } from "./memory";
import { firstArgument, secondArgument } from "./text";

/** A queue of bytes between VMs and threads. */
export class SharedQueue {
  constructor(readonly id: u32) {}

  /** Adds an element at the end. */
  enqueue(value: ArrayBuffer): bool {
    return proxy_enqueue_shared_queue(this.id, changetype<usize>(value), value.byteLength) == Status.Ok;
  }

  /** Takes the first element; null when the queue is empty. */
  dequeue(): ArrayBuffer | null {
    const status = proxy_dequeue_shared_queue(this.id, addressSlot(), sizeSlot());
    return status == Status.Ok ? takeBytes() : null;
  }
}

/** Makes the queue of this name, or finds it, and has `onQueueReady` called for this plugin; null when the proxy refuses. */
export function registerQueue(name: string): SharedQueue | null {
  const text = firstArgument.put(name);
  const status = proxy_register_shared_queue(text, firstArgument.size, sizeSlot());
  return status == Status.Ok ? new SharedQueue(load<u32>(sizeSlot())) : null;
}

/** Finds a queue that a VM of this id registered; null when there is none. */
export function findQueue(vmId: string, name: string): SharedQueue | null {
  const vm = firstArgument.put(vmId);
  const text = secondArgument.put(name);
  const status = proxy_resolve_shared_queue(vm, firstArgument.size, text, secondArgument.size, sizeSlot());
  return status == Status.Ok ? new SharedQueue(load<u32>(sizeSlot())) : null;
}
