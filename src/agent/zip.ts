import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { PassThrough } from "node:stream";
import { pipeline } from "node:stream/promises";
import { crc32, createInflateRaw } from "node:zlib";
import { SystemError } from "../system-error.ts";

/** Where a member lies in its archive and what it must unpack to. Sizes in bytes. */
interface ZipMember {
  readonly method: number;
  readonly crc: number;
  readonly packedSize: number;
  readonly size: number;
  readonly headerOffset: number;
}

const maxDirectoryBytes = 16 * 1024 * 1024;
const endRecordBytes = 22;
const maxCommentBytes = 0xffff;

/**
 * Unpacks one member of a zip archive to a new file, without holding it in memory. Its size and CRC-32 are checked
 * against the central directory (PKWARE APPNOTE 4.3). Fails with `not-found` if the archive has no such member,
 * `too-large` above `maxBytes`, `digest-mismatch` for other content than was announced, `disk` for everything else.
 */
export async function extractZipMember(
  archive: string,
  name: string,
  target: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<void> {
  try {
    const { member, start } = await locateMember(archive, name);
    if (member.size > maxBytes)
      throw new SystemError(
        "too-large",
        `${name} in ${archive} has ${member.size} bytes, at most ${maxBytes} are taken`,
      );
    const range = { start, end: start + member.packedSize - 1 };
    const packed = member.packedSize === 0 ? new PassThrough().end() : createReadStream(archive, range);
    const unpack = member.method === 8 ? createInflateRaw() : new PassThrough();
    await pipeline(
      packed,
      unpack,
      checkContent(member, name, archive),
      createWriteStream(target, { flags: "wx" }),
      {
        signal,
      },
    );
  } catch (error) {
    throw SystemError.from(
      error,
      signal?.aborted ? "cancelled" : "disk",
      `unpacking ${name} from ${archive}`,
    );
  }
}

/** Passes the bytes on and fails as soon as they cannot be the announced ones. */
function checkContent(member: ZipMember, name: string, archive: string) {
  return async function* (source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    let size = 0;
    let crc = 0;
    for await (const chunk of source) {
      size += chunk.length;
      if (size > member.size) break;
      crc = crc32(chunk, crc);
      yield chunk;
    }
    if (size !== member.size || crc !== member.crc)
      throw new SystemError(
        "digest-mismatch",
        `${name} in ${archive} is damaged: its size or CRC-32 is not the announced one`,
      );
  };
}

async function locateMember(archive: string, name: string): Promise<{ member: ZipMember; start: number }> {
  const file = await open(archive, "r");
  try {
    const member = findMember(await readDirectory(file, archive), name);
    if (!member) throw new SystemError("not-found", `${archive} has no member ${name}`);
    if (member.method !== 0 && member.method !== 8)
      throw broken(
        archive,
        `${name} is compressed by method ${member.method}, expected 0 (stored) or 8 (deflate)`,
      );
    const header = await readAt(file, member.headerOffset, 30, archive);
    if (header.readUInt32LE(0) !== 0x04034b50) throw broken(archive, `${name} has no local header`);
    const start = member.headerOffset + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
    return { member, start };
  } finally {
    await file.close();
  }
}

/** The central directory, found by the end record that closes every archive. */
async function readDirectory(file: FileHandle, archive: string): Promise<Buffer> {
  const { size } = await file.stat();
  const tailSize = Math.min(size, endRecordBytes + maxCommentBytes);
  const tail = await readAt(file, size - tailSize, tailSize, archive);
  const end = tail.lastIndexOf(Buffer.from("PK\x05\x06", "latin1"));
  if (end < 0 || end + endRecordBytes > tail.length) throw broken(archive, "it has no end record");
  const directorySize = tail.readUInt32LE(end + 12);
  if (directorySize > maxDirectoryBytes) throw broken(archive, `its directory has ${directorySize} bytes`);
  return readAt(file, tail.readUInt32LE(end + 16), directorySize, archive);
}

function findMember(directory: Buffer, name: string): ZipMember | undefined {
  let at = 0;
  while (at + 46 <= directory.length && directory.readUInt32LE(at) === 0x02014b50) {
    const nameEnd = at + 46 + directory.readUInt16LE(at + 28);
    if (directory.toString("utf8", at + 46, nameEnd) === name) {
      return {
        method: directory.readUInt16LE(at + 10),
        crc: directory.readUInt32LE(at + 16),
        packedSize: directory.readUInt32LE(at + 20),
        size: directory.readUInt32LE(at + 24),
        headerOffset: directory.readUInt32LE(at + 42),
      };
    }
    at = nameEnd + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  }
  return undefined;
}

async function readAt(file: FileHandle, position: number, length: number, archive: string): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw broken(archive, `it ends before byte ${position + length}`);
  return buffer;
}

function broken(archive: string, why: string): SystemError {
  return new SystemError("disk", `${archive} is no zip archive that can be read: ${why}`);
}
