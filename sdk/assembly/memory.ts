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

// Most of what the host hands over is small and read at once: it has a place of its own, and costs no allocation.
const SMALL: i32 = 4096;
const smallBytes = new ArrayBuffer(SMALL);
const smallPlace = changetype<usize>(smallBytes);

/**
 * Room for what the host is about to fill and hand over. What is not small is an ArrayBuffer of exactly that size, pinned so
 * that the collector leaves it alone until it is taken.
 */
export function allocateForHost(size: usize): usize {
  return (size as i32) <= SMALL ? smallPlace : __pin(__new(size, idof<ArrayBuffer>()));
}

/** Address of the bytes of the last hostcall; 0 when there are none. They are to be read before the next one. */
@inline
export function receivedAddress(): usize {
  return load<usize>(resultAddress);
}

/** How many bytes the last hostcall has handed over. */
@inline
export function receivedSize(): usize {
  return receivedAddress() == 0 ? 0 : load<usize>(resultSize);
}

/** Gives up the bytes of the last hostcall: whoever has read them where they are calls it once. */
@inline
export function dropReceived(): void {
  const address = receivedAddress();
  if (address != 0 && address != smallPlace) __unpin(address);
}

const emptyBytes = new ArrayBuffer(0);

/** Takes over the bytes of the last hostcall. */
export function takeBytes(): ArrayBuffer {
  const address = receivedAddress();
  if (address == 0) return emptyBytes;
  if (address != smallPlace) {
    __unpin(address);
    return changetype<ArrayBuffer>(address);
  }
  const size = load<usize>(resultSize);
  const bytes = changetype<ArrayBuffer>(__new(size, idof<ArrayBuffer>()));
  memory.copy(changetype<usize>(bytes), address, size);
  return bytes;
}

/**
 * Collects garbage if there is much, with a runtime that leaves the time to the plugin (sdk/runtime). All that is still needed has to
 * be held by a global, as it is where a callback begins: what only a function holds is lost.
 */
@inline
export function collectIfDue(): void {
  if (isDefined(__collectIfDue)) __collectIfDue();
}
