import { setImmediate as yieldToOthers } from "node:timers/promises";
import { promisify } from "node:util";
import zlib from "node:zlib";
import { Decompress } from "fzstd";

const sliceBytes = 64 << 10;
/** What RFC 8878 §3.1.1.1.2 asks of every decoder; the levels up to 19 need no more. */
const maxWindowBytes = 8 << 20;
/** fzstd moves its window once for each block: what many small blocks may cost, in bytes moved. */
const maxMovedBytes = 2 ** 35;

/** Decompresses zstd; an error with code ERR_BUFFER_TOO_LARGE, as of node:zlib, for more than `maxOutputLength` bytes. */
export type DecompressZstd = (
  bytes: Uint8Array,
  options: { readonly maxOutputLength: number },
) => Promise<Uint8Array>;

/** Node's own zstd, which there is since 22.15 and 23.8, or else fzstd's. */
export function findZstd(): DecompressZstd {
  const { zstdDecompress } = zlib as { zstdDecompress?: typeof zlib.gunzip };
  return zstdDecompress ? promisify(zstdDecompress) : decompressInScript;
}

/** zstd without Node's own. Reads slice by slice, and stops at the first block that is too much. */
export const decompressInScript: DecompressZstd = async (bytes, { maxOutputLength }) => {
  const window = largestWindow(bytes);
  if (window > maxWindowBytes) throw new Error(windowMessage(window));
  const chunks: Uint8Array[] = [];
  let size = 0;
  let moved = 0;
  const stream = new Decompress((chunk) => {
    size += chunk.length;
    moved += window;
    if (size > maxOutputLength) throw tooLarge();
    if (moved > maxMovedBytes) throw new Error("far too many small blocks");
    chunks.push(chunk);
  });
  for (let at = 0; at < bytes.length; at += sliceBytes) {
    stream.push(bytes.subarray(at, at + sliceBytes), at + sliceBytes >= bytes.length);
    await yieldToOthers();
  }
  return Buffer.concat(chunks, size);
};

function tooLarge(): Error {
  return Object.assign(new Error("more bytes than allowed"), { code: "ERR_BUFFER_TOO_LARGE" });
}

function windowMessage(window: number): string {
  return (
    `it needs a window of ${window} bytes, and Node ${process.versions.node} can give ${maxWindowBytes}; ` +
    "compress it without --ultra and --long, or run Node 22.15 or later"
  );
}

/** The decoder allocates what a frame's header says, so all of them are looked at first. What is cut off is left to it. */
function largestWindow(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let largest = 0;
  try {
    for (let at = 0; at < bytes.length; ) {
      if (isSkippable(view.getUint32(at, true))) {
        at += 8 + view.getUint32(at + 4, true);
        continue;
      }
      const { window, end, checksumBytes } = readFrameHeader(view, at);
      largest = Math.max(largest, window);
      at = skipBlocks(view, end) + checksumBytes;
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
  }
  return largest;
}

function isSkippable(magic: number): boolean {
  return magic >>> 4 === 0x184d2a5;
}

/** RFC 8878 §3.1.1.1. */
function readFrameHeader(view: DataView, at: number) {
  const flags = view.getUint8(at + 4);
  const isSingle = (flags & 32) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] ?? 0;
  const sizeBytes = [isSingle ? 1 : 0, 2, 4, 8][flags >> 6] ?? 0;
  const sizeAt = at + 5 + (isSingle ? 0 : 1) + dictionaryBytes;
  return {
    window: isSingle ? readContentSize(view, sizeAt, sizeBytes) : readWindow(view.getUint8(at + 5)),
    end: sizeAt + sizeBytes,
    checksumBytes: flags & 4,
  };
}

function readWindow(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function readContentSize(view: DataView, at: number, bytes: number): number {
  if (bytes === 1) return view.getUint8(at);
  if (bytes === 2) return view.getUint16(at, true) + 256;
  return bytes === 4 ? view.getUint32(at, true) : Number(view.getBigUint64(at, true));
}

/** RFC 8878 §3.1.1.2: the offset after the last block. */
function skipBlocks(view: DataView, start: number): number {
  for (let at = start; ; ) {
    const header = view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
    const isRepeated = ((header >> 1) & 3) === 1;
    at += 3 + (isRepeated ? 1 : header >> 3);
    if (header & 1) return at;
  }
}
