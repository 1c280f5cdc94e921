// Where the host writes the address and the size of what it returns. One place is enough: a guest call never nests.
const resultAddress = memory.data(4, 4);
const resultSize = memory.data(4, 4);
const resultNumber = memory.data(8, 8);

/** Address for a returned pointer. */
@inline
export function addressSlot(): usize {
  return resultAddress;
}

/** Address for a returned size, or for a returned 32-bit number. */
@inline
export function sizeSlot(): usize {
  return resultSize;
}

/** Address for a returned 64-bit number. */
@inline
export function numberSlot(): usize {
  return resultNumber;
}

/**
 * Allocates what the host is about to fill and hand over. The block is an ArrayBuffer of exactly that size, pinned so
 * that the collector leaves it alone until `takeBytes` has it.
 */
export function allocateForHost(size: usize): usize {
  return __pin(__new(size, idof<ArrayBuffer>()));
}

const emptyBytes = new ArrayBuffer(0);

/** Takes over the bytes of the last hostcall without copying them. */
export function takeBytes(): ArrayBuffer {
  const address = load<usize>(resultAddress);
  if (address == 0) return emptyBytes;
  __unpin(address);
  return changetype<ArrayBuffer>(address);
}
