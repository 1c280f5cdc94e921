import { SystemError } from "../system-error.ts";
import { applyEdits, encodeNumber, resized } from "../wasm/module-edits.ts";
import { type MemoryLimits, type ModuleInterface, readMemories } from "../wasm/read-module.ts";

const pageBytes = 65_536;

/**
 * A module whose memory cannot grow beyond so many bytes: its own maximum stays if it is lower.
 * @throws SystemError `module-invalid` when the module begins with more, or has memories that are not 32-bit
 */
export function limitMemory(
  bytes: Uint8Array,
  { memorySection }: ModuleInterface,
  maxBytes: number,
  what: string,
): Uint8Array {
  if (!memorySection) return bytes;
  const memories = readMemories(bytes, memorySection, what);
  const maxPages = Math.floor(maxBytes / pageBytes);
  const content = [encodeNumber(memories.length)];
  for (const memory of memories) content.push(...limited(memory, maxPages, what));
  const { start, end } = memorySection;
  return applyEdits(bytes, resized(memorySection, [{ start, end, bytes: Buffer.concat(content) }]));
}

function limited({ flags, initial, maximum }: MemoryLimits, maxPages: number, what: string): Uint8Array[] {
  if (flags & ~1) throw refusal(what, `a memory of kind ${flags}`, "a 32-bit memory that is not shared");
  if (initial > maxPages)
    throw refusal(what, `a memory of ${initial} pages to begin with`, `at most ${maxPages} pages of 64 KiB`);
  const pages = maximum === undefined ? maxPages : Math.min(maximum, maxPages);
  return [Uint8Array.of(1), encodeNumber(initial), encodeNumber(pages)];
}

function refusal(what: string, found: string, expected: string): SystemError {
  return new SystemError("module-invalid", `${what}: found ${found}; expected ${expected}`);
}
