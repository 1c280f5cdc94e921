// A mark and sweep collector that works between callbacks only, in the place of the one of AssemblyScript's runtime `minimal`. Nothing
// of a plugin is on the stack then, so no function has to note what it holds: that is a third of a module's code.

/** What stands before each object; its first part is the allocator's, its last two are what the compiler reads. */
@unmanaged
class Header {
  blockSize: usize;
  /** The object that was made before this one, with the pin in its last bit. */
  older: usize;
  /** 0 for what is not marked. Marked objects are a queue: the next one, or LAST. */
  marked: usize;
  typeId: u32;
  size: u32;
}

const HEADER: usize = offsetof<Header>();
const BEFORE_BLOCK: usize = sizeof<usize>();
const MAX_SIZE: usize = (1 << 30) - HEADER;
const PIN: usize = 1;
const LAST: usize = 1;
/** Less garbage than this is not worth a collection. */
const LEAST: usize = 65536;

@lazy let newest: usize = 0;
@lazy let pins: i32 = 0;
@lazy let used: usize = 0;
/** A collection is due when more than this is in use. */
@lazy let limit: usize = LEAST;
@lazy let firstMarked: usize = 0;
@lazy let lastMarked: usize = 0;

@inline
function headerOf(address: usize): Header {
  return changetype<Header>(address - HEADER);
}

/** Bytes that the allocator gave for an object. */
@inline
function roomOf(header: Header): usize {
  return header.blockSize & ~3;
}

/** Makes an object. What is in it is for the compiler to say. */
@global @unsafe
export function __new(size: usize, id: u32): usize {
  if (size > MAX_SIZE) throw new Error("an object is too large");
  const address = __alloc(HEADER - BEFORE_BLOCK + size) + HEADER - BEFORE_BLOCK;
  const header = headerOf(address);
  header.older = newest;
  header.marked = 0;
  header.typeId = id;
  header.size = size as u32;
  newest = address;
  used += roomOf(header);
  return address;
}

/** Gives an object another size, maybe at another place. */
@global @unsafe
export function __renew(address: usize, size: usize): usize {
  const header = headerOf(address);
  if (address >= __heap_base && HEADER - BEFORE_BLOCK + size <= roomOf(header)) {
    header.size = size as u32;
    return address;
  }
  const copy = __new(size, header.typeId);
  memory.copy(copy, address, min(size, header.size as usize));
  return copy;
}

/** Nothing is to be done when one object begins to hold another. */
@global @unsafe
export function __link(parent: usize, child: usize, isMultiple: bool): void {}

/** Keeps an object that nothing holds. */
@global @unsafe
export function __pin(address: usize): usize {
  if (address != 0) {
    headerOf(address).older |= PIN;
    pins++;
  }
  return address;
}

@global @unsafe
export function __unpin(address: usize): void {
  if (address == 0) return;
  headerOf(address).older &= ~PIN;
  pins--;
}

/** Marks an object, which a root or a marked object holds. */
@global @unsafe
export function __visit(address: usize, cookie: u32): void {
  if (address == 0) return;
  const header = headerOf(address);
  if (header.marked != 0) return;
  header.marked = LAST;
  if (firstMarked == 0) firstMarked = address;
  else headerOf(lastMarked).marked = address;
  lastMarked = address;
}

/** Frees what nothing holds. Nothing may be held by the stack alone. */
@global @unsafe
export function __collect(): void {
  firstMarked = 0;
  __visit_globals(0);
  if (pins > 0) visitPinned();
  for (let address = firstMarked; address > LAST; address = headerOf(address).marked) __visit_members(address, 0);
  sweep();
  unmark();
  // What is in use is gone through each time: with many rules that takes milliseconds, so it is done the less often.
  limit = max<usize>(3 * used, LEAST);
}

/** Collects if there is enough to be worth it. Nothing may be held by the stack alone. */
@global @unsafe
export function __collectIfDue(): void {
  if (used > limit) __collect();
}

function visitPinned(): void {
  for (let address = newest; address != 0; address = headerOf(address).older & ~PIN) {
    if ((headerOf(address).older & PIN) != 0) __visit(address, 0);
  }
}

function sweep(): void {
  let kept: usize = 0;
  let address = newest;
  while (address != 0) {
    const header = headerOf(address);
    const older = header.older & ~PIN;
    if (header.marked != 0) {
      header.older = kept | (header.older & PIN);
      kept = address;
    } else {
      used -= roomOf(header);
      __free(address - HEADER + BEFORE_BLOCK);
    }
    address = older;
  }
  newest = kept;
}

/** What is part of the module is marked as well, and is in no list of objects. */
function unmark(): void {
  let address = firstMarked;
  while (address > LAST) {
    const header = headerOf(address);
    address = header.marked;
    header.marked = 0;
  }
}
