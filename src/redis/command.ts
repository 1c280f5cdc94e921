/** A command as RESP has it: an array of bulk strings. */
export function encodeCommand(...words: readonly string[]): Buffer {
  const parts = words.map((word) => `$${Buffer.byteLength(word)}\r\n${word}\r\n`);
  return Buffer.from(`*${words.length}\r\n${parts.join("")}`);
}

// Connections are shared by all calls, and a reply belongs to a call by its order only. These commands have none or many
// replies, or change what later commands of others mean.
const ofOwnConnection = new Set(
  `auth hello select quit reset monitor sync psync subscribe psubscribe ssubscribe
  unsubscribe punsubscribe sunsubscribe`.split(/\s+/),
);

/**
 * What is wrong with a query that is to be sent over a shared connection; undefined if nothing is. It must be exactly one
 * command, as anything else would take the bytes of the next call for its own, or their replies.
 */
// Unlike Higress, which sends whatever a plugin hands over.
export function findQueryFault(query: Uint8Array): string | undefined {
  const words = splitCommand(Buffer.from(query.buffer, query.byteOffset, query.byteLength));
  if (!words) return "expected one command as an array of bulk strings";
  const [name = "", first = ""] = words.slice(0, 2).map((word) => word.toString("latin1").toLowerCase());
  const isForbidden = ofOwnConnection.has(name) || (name === "client" && first === "reply");
  return isForbidden ? `${name.toUpperCase()} is not for connections that are shared` : undefined;
}

/** The words of exactly one command. */
function splitCommand(query: Buffer): Buffer[] | undefined {
  const header = readLength(query, 0, "*");
  if (!header || header.length === 0) return undefined;
  const words: Buffer[] = [];
  let { at } = header;
  while (words.length < header.length) {
    const word = readLength(query, at, "$");
    if (!word || query.toString("latin1", word.at + word.length, word.at + word.length + 2) !== "\r\n")
      return undefined;
    words.push(query.subarray(word.at, word.at + word.length));
    at = word.at + word.length + 2;
  }
  return at === query.length ? words : undefined;
}

/** A line of a type and a length, and where the next one begins. */
function readLength(query: Buffer, at: number, type: string): { length: number; at: number } | undefined {
  const line = /^(.)(\d{1,9})\r\n/s.exec(query.toString("latin1", at, at + 12));
  return line?.[1] === type ? { length: Number(line[2]), at: at + line[0].length } : undefined;
}
