import { Status } from "../abi.ts";
import type { Vm } from "../vm.ts";

/** Data and queues that Vms share, in all threads. */
export function sharedFunctions(vm: Vm) {
  return { ...dataFunctions(vm), ...queueFunctions(vm) };
}

function dataFunctions(vm: Vm) {
  const data = vm.outside.stores.sharedData(vm.settings.vmId);
  return {
    proxy_get_shared_data(
      keyAt: number,
      keySize: number,
      valueAt: number,
      sizeAt: number,
      casAt: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(keyAt, keySize)) return Status.InvalidMemoryAccess;
      const found = data.get(memory.text(keyAt, keySize));
      if (!found) return Status.NotFound;
      return (memory.giveBytes(found.value, valueAt, sizeAt) || memory.setUint32(casAt, found.cas)) as Status;
    },
    proxy_set_shared_data(
      keyAt: number,
      keySize: number,
      valueAt: number,
      valueSize: number,
      cas: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(keyAt, keySize) || !memory.has(valueAt, valueSize)) return Status.InvalidMemoryAccess;
      const stored = data.set(memory.text(keyAt, keySize), memory.copy(valueAt, valueSize), cas >>> 0);
      if (stored === "full") return Status.InternalFailure;
      return stored ? Status.Ok : Status.CasMismatch;
    },
  };
}

function queueFunctions(vm: Vm) {
  const { queues } = vm.outside.stores;
  return {
    proxy_register_shared_queue(nameAt: number, nameSize: number, idAt: number): Status {
      if (!vm.memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const id = queues.register(
        vm.settings.vmId,
        vm.memory.text(nameAt, nameSize),
        vm.context.root.createQueueOwner((root) => root.onQueueReady(id as number)),
      );
      return id === "full" ? Status.InternalFailure : vm.memory.setUint32(idAt, id);
    },
    proxy_resolve_shared_queue(
      vmIdAt: number,
      vmIdSize: number,
      nameAt: number,
      nameSize: number,
      idAt: number,
    ): Status {
      const { memory } = vm;
      if (!memory.has(vmIdAt, vmIdSize) || !memory.has(nameAt, nameSize)) return Status.InvalidMemoryAccess;
      const vmId = memory.text(vmIdAt, vmIdSize) || vm.settings.vmId;
      const id = queues.resolve(vmId, memory.text(nameAt, nameSize));
      return id === undefined ? Status.NotFound : memory.setUint32(idAt, id);
    },
    proxy_enqueue_shared_queue(id: number, at: number, size: number): Status {
      if (!vm.memory.has(at, size)) return Status.InvalidMemoryAccess;
      const enqueued = queues.enqueue(id >>> 0, vm.memory.copy(at, size));
      if (enqueued === "full") return Status.InternalFailure;
      return enqueued ? Status.Ok : Status.NotFound;
    },
    proxy_dequeue_shared_queue(id: number, bytesAt: number, sizeAt: number): Status {
      const bytes = queues.dequeue(id >>> 0);
      if (bytes === undefined) return Status.NotFound;
      return bytes === "empty" ? Status.Empty : vm.memory.giveBytes(bytes, bytesAt, sizeAt);
    },
  };
}
