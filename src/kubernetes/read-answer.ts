import { SystemError } from "../system-error.ts";

/** A page of a list has at most 500 objects; etcd keeps none above 1.5 MiB. */
const maxAnswerBytes = 256 * 1024 * 1024;
/** An event has one object. */
const maxLineBytes = 8 * 1024 * 1024;

/** The whole body as text. Throws SystemError("too-large") beyond the bound. */
export async function readText(answer: AsyncIterable<Buffer>, maxBytes = maxAnswerBytes): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    size += chunk.length;
    if (size > maxBytes) throw new SystemError("too-large", `an answer of more than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Each line's JSON as it arrives. What is cut off at the end is dropped: the watch goes on before it. */
export async function* readJsonLines(
  answer: AsyncIterable<Buffer>,
  maxBytes = maxLineBytes,
): AsyncGenerator<unknown, void, undefined> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (const chunk of answer) {
    let start = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, start)) {
      const line = Buffer.concat([...parts, chunk.subarray(start, end)]).toString("utf8");
      [parts, size, start] = [[], 0, end + 1];
      if (line.trim() !== "") yield JSON.parse(line);
    }
    const rest = chunk.subarray(start);
    size += rest.length;
    if (size > maxBytes) throw new SystemError("too-large", `an event of more than ${maxBytes} bytes`);
    if (rest.length > 0) parts.push(rest);
  }
}
