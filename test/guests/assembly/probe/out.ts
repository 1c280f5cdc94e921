// Where the host writes what it returns, unless a script names another place.
const slots = memory.data(24, 8);
let address: u32 = 0;
let size: u32 = 0;

/** Has the next hostcall write to these addresses; 0 stands for the usual ones, 0xffffffff for address 0. */
export function redirect(toAddress: u32, toSize: u32): void {
  address = toAddress;
  size = toSize;
}

/** Clears what an earlier hostcall left, so that what is not written is seen as 0xdddddddd. */
export function clear(): void {
  memory.fill(slots, 0xdd, 24);
}

function place(asked: u32, usual: usize): u32 {
  if (asked == 0) return usual as u32;
  return asked == 0xffffffff ? 0 : asked;
}

export function outAddress(): u32 {
  return place(address, slots);
}

export function outSize(): u32 {
  return place(size, slots + 8);
}

export function codeAddress(): u32 {
  return (slots + 16) as u32;
}

/** What the last hostcall wrote. */
export function address32(): u32 {
  return load<u32>(slots);
}
export function long64(): u64 {
  return load<u64>(slots);
}
export function size32(): u32 {
  return load<u32>(slots + 8);
}
export function code32(): u32 {
  return load<u32>(slots + 16);
}
export function isRedirected(): bool {
  return address != 0 || size != 0;
}
