import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import { indexOfHeadEnd, ProtocolError, readHeaderLines } from "./header-text.ts";

export interface ChunkDecoderOptions {
  readonly maxTrailerBytes: number;
  /** What follows a chunk's size may be anything visible, as some servers write it. */
  readonly isLoose: boolean;
  /** A view of what was pushed. */
  onData(bytes: Buffer): void;
  onEnd(trailers: HeaderMap | undefined): void;
}

export interface ChunkDecoder {
  /**
   * Decodes, and gives what follows the end of the body; undefined if that has not come.
   * @throws ProtocolError
   */
  push(bytes: Buffer): Buffer | undefined;
}

type State = "size" | "data" | "data-end" | "trailers" | "done";

/** A line with the size of a chunk, extensions and all. */
const maxSizeLine = 256;
const maxTrailers = 100;
const word = "[!#$%&'*+.^_`|~0-9A-Za-z-]+";
const quoted = String.raw`"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*"`;
const strictSize = new RegExp(`^(0*[0-9a-fA-F]{1,12})(?:;${word}(?:=(?:${word}|${quoted}))?)*$`);
const looseSize = /^([0-9a-fA-F]{1,12})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/;
const cr = 0x0d;
const lf = 0x0a;
const none = Buffer.alloc(0);

/** Decodes chunked bodies, one after the other. Extensions are dropped; a line that does not end in CR LF is an error. */
export function createChunkDecoder({
  maxTrailerBytes,
  isLoose,
  onData,
  onEnd,
}: ChunkDecoderOptions): ChunkDecoder {
  const sizeLine = isLoose ? looseSize : strictSize;
  let state: State = "size";
  let held: Buffer = none;
  let left = 0;
  const readers: Record<Exclude<State, "done">, (bytes: Buffer) => number> = {
    size: readSize,
    data: readData,
    "data-end": readDataEnd,
    trailers: readTrailers,
  };
  return {
    push(bytes) {
      let rest = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
      held = none;
      while (state !== "done") {
        const used = rest.length === 0 ? 0 : readers[state](rest);
        if (used === 0) {
          // What was pushed may be overwritten after this call.
          held = rest.length === 0 ? none : Buffer.from(rest);
          return undefined;
        }
        rest = rest.subarray(used);
      }
      state = "size";
      return rest;
    },
  };

  // Each says how many bytes it took; 0 if there are too few.

  function readSize(bytes: Buffer): number {
    const end = bytes.indexOf(lf);
    if (end > maxSizeLine || (end < 0 && bytes.length > maxSizeLine))
      throw new ProtocolError("the line with a chunk's size is too long");
    if (end < 0) return 0;
    const match = bytes[end - 1] === cr ? sizeLine.exec(bytes.toString("latin1", 0, end - 1)) : null;
    if (!match) throw new ProtocolError("a chunk's size is broken");
    left = Number.parseInt(match[1]!, 16);
    state = left === 0 ? "trailers" : "data";
    return end + 1;
  }

  function readData(bytes: Buffer): number {
    const size = Math.min(left, bytes.length);
    left -= size;
    if (left === 0) state = "data-end";
    onData(bytes.subarray(0, size));
    return size;
  }

  function readDataEnd(bytes: Buffer): number {
    if (bytes[0] !== cr || (bytes.length > 1 && bytes[1] !== lf))
      throw new ProtocolError("a chunk does not end where it should");
    if (bytes.length === 1) return 0;
    state = "size";
    return 2;
  }

  function readTrailers(bytes: Buffer): number {
    if (bytes[0] === cr && bytes.length === 1) return 0;
    if (bytes[0] === cr && bytes[1] === lf) return finish(2, undefined);
    const end = indexOfHeadEnd(bytes, 0);
    if (end > maxTrailerBytes || (end < 0 && bytes.length > maxTrailerBytes))
      throw new ProtocolError("the trailers are too long", "length");
    if (end < 0) return 0;
    const lines: HeaderLine[] = [];
    readHeaderLines(bytes.toString("latin1", 0, end), 0, lines, maxTrailers);
    return finish(end + 4, new HeaderMap(lines));
  }

  function finish(used: number, trailers: HeaderMap | undefined): number {
    state = "done";
    onEnd(trailers);
    return used;
  }
}
