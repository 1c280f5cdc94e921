/** Finds the ends of replies in what a server sends (RESP2), however it is cut into chunks. */
export interface ReplyScanner {
  /**
   * The replies that the chunk completes, as they came. `too-large` stands in the place of one that is above the limit;
   * its bytes are not kept.
   * @throws Error when the bytes are no RESP2
   */
  push(chunk: Uint8Array): (Uint8Array | "too-large")[];
}

const newline = 10;
/** A type, a sign and the digits of a length. */
const maxHeadLength = 16;

export function createReplyScanner(maxBytes: number): ReplyScanner {
  let parts: Uint8Array[] = [];
  let size = 0;
  /** Elements that the reply still lacks; an array adds as many as it holds. */
  let missing = 1;
  /** Bytes that the current bulk string still lacks, with its line end. */
  let bulk = 0;
  /** The beginning of the current line, as far as it is looked at. */
  let head = "";

  const keep = (bytes: Uint8Array) => {
    size += bytes.length;
    if (size > maxBytes) parts = [];
    else if (bytes.length > 0) parts.push(bytes);
  };
  const finish = () => {
    const reply = size > maxBytes ? "too-large" : parts.length === 1 ? parts[0]! : Buffer.concat(parts);
    parts = [];
    size = 0;
    missing = 1;
    return reply;
  };
  const startElement = (line: string) => {
    missing--;
    const length = lengthOf(line);
    if (line[0] === "$" && length >= 0) bulk = length + 2;
    if (line[0] === "*" && length > 0) missing += length;
  };
  /** Returns where the next step begins. */
  const step = (chunk: Uint8Array, at: number) => {
    if (bulk > 0) {
      const taken = Math.min(bulk, chunk.length - at);
      bulk -= taken;
      return at + taken;
    }
    const end = chunk.indexOf(newline, at);
    const stop = end < 0 ? chunk.length : end;
    head += latin1(chunk, at, Math.min(stop, at + maxHeadLength - head.length));
    if (end < 0) return stop;
    startElement(head);
    head = "";
    return stop + 1;
  };
  return {
    push(chunk) {
      const replies: (Uint8Array | "too-large")[] = [];
      let start = 0;
      for (let at = 0; at < chunk.length; ) {
        at = step(chunk, at);
        if (missing > 0 || bulk > 0) continue;
        keep(chunk.subarray(start, at));
        replies.push(finish());
        start = at;
      }
      keep(chunk.subarray(start));
      return replies;
    },
  };
}

/** The length that a line gives, or 0 for what ends with its line. */
function lengthOf(line: string): number {
  const type = line[0] ?? "";
  if (type !== "" && "+-:".includes(type)) return 0;
  if (!/^[$*](?:\d{1,9}|-1)\r$/.test(line))
    throw new Error(`found ${JSON.stringify(line)} where a reply begins; expected RESP2`);
  return Number(line.slice(1, -1));
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString("latin1");
}
