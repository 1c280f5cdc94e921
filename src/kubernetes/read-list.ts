import { SystemError } from "../system-error.ts";

const [quote, backslash, openBrace, closeBrace, openBracket, closeBracket] = Buffer.from('"\\{}[]');
const itemsBegin = /"items"\s*:\s*\[$/;

/** An object; etcd keeps none above 1.5 MiB. */
const maxPartBytes = 8 * 1024 * 1024;
/** Of a whole list, which an API server that answers from its memory does not cut into pages. */
const maxListBytes = 1024 * 1024 * 1024;

/**
 * Reads a list of the API as it arrives, and gives its items one by one, so that neither its text nor all of its objects
 * are in memory at once. The result is the rest, with no items in it.
 * @throws SystemError("too-large")
 * @throws SyntaxError where it is no JSON
 */
export async function readList(
  answer: AsyncIterable<Buffer>,
  onItem: (item: unknown) => void,
): Promise<unknown> {
  const cut = createCutter(onItem);
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > maxListBytes) throw new SystemError("too-large", `a list of more than ${maxListBytes} bytes`);
    cut.push(chunk);
  }
  return JSON.parse(cut.rest());
}

/** Cuts the text of a list into its items and what is around them. */
function createCutter(onItem: (item: unknown) => void) {
  const rest = createText();
  const item = createText();
  let where: "around" | "between" | "within" = "around";
  let depth = 0;
  let inString = false;
  let isEscaped = false;

  function open(chunk: Buffer, start: number, at: number): number {
    depth++;
    if (where === "between") {
      where = "within";
      return at;
    }
    if (where !== "around" || depth !== 2 || chunk[at] !== openBracket) return start;
    rest.add(chunk.subarray(start, at + 1));
    if (itemsBegin.test(rest.end())) where = "between";
    return at + 1;
  }

  function close(chunk: Buffer, start: number, at: number): number {
    depth--;
    if (where === "within" && depth === 2) {
      item.add(chunk.subarray(start, at + 1));
      onItem(JSON.parse(item.take()));
      where = "between";
    } else if (where === "between") {
      where = "around";
      return at;
    }
    return start;
  }

  return {
    push(chunk: Buffer): void {
      /** Where that begins which is not put away yet. */
      let start = 0;
      for (let at = 0; at < chunk.length; at++) {
        const byte = chunk[at];
        if (isEscaped) isEscaped = false;
        else if (inString) {
          if (byte === backslash) isEscaped = true;
          else if (byte === quote) inString = false;
        } else if (byte === quote) inString = true;
        else if (byte === openBrace || byte === openBracket) start = open(chunk, start, at);
        else if (byte === closeBrace || byte === closeBracket) start = close(chunk, start, at);
      }
      if (where === "around") rest.add(chunk.subarray(start));
      else if (where === "within") item.add(chunk.subarray(start));
    },
    rest: () => rest.take(),
  };
}

/** Bytes that are put together. */
function createText() {
  let parts: Buffer[] = [];
  let size = 0;
  return {
    add(part: Buffer): void {
      size += part.length;
      if (size > maxPartBytes)
        throw new SystemError("too-large", `an object of more than ${maxPartBytes} bytes`);
      if (part.length > 0) parts.push(part);
    },
    /** The last of it. */
    end: () => Buffer.concat(parts).subarray(-64).toString("latin1"),
    take(): string {
      const text = Buffer.concat(parts, size).toString("utf8");
      [parts, size] = [[], 0];
      return text;
    },
  };
}
