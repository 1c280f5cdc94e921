import { isUtf8 } from "node:buffer";
import { closeSync, constants, fstatSync, openSync, readSync, type Stats, statSync } from "node:fs";

/** The largest file that is read, in bytes. */
export const maxFileSize = 64 * 1024 * 1024;

/** What tells two versions of a file apart without reading them. */
export interface FileStamp {
  readonly size: number;
  readonly modified: number;
  readonly changed: number;
  readonly inode: number;
}

/** A file's text; "missing"; or why it cannot be read. `stable` is false while somebody is still writing it. */
export type FileContent =
  | { readonly text: string; readonly bytes: number; readonly stamp: FileStamp; readonly stable: boolean }
  | { readonly unreadable: string; readonly stamp?: FileStamp }
  | "missing";

const attempts = 3;

/**
 * Reads a regular file, symbolic links followed, and again if it changed meanwhile. Synchronous: for the small files that
 * this is for, a round through the thread pool would take longer than the read.
 */
export function readTextFile(path: string): FileContent {
  try {
    // Without O_NONBLOCK, opening a named pipe would wait for its writer.
    const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      return readOpenFile(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    return isMissing(error) ? "missing" : { unreadable: reasonOf(error) };
  }
}

function readOpenFile(file: number): FileContent {
  for (let attempt = 1; ; attempt++) {
    const before = fstatSync(file);
    const stamp = stampOf(before);
    if (!before.isFile()) return { unreadable: "it is not a regular file", stamp };
    if (before.size > maxFileSize)
      return { unreadable: `it has ${before.size} bytes; at most ${maxFileSize} are read`, stamp };
    const content = readBytes(file, before.size);
    const stable = content.length === before.size && isSameStamp(stamp, stampOf(fstatSync(file)));
    if (!stable && attempt < attempts) continue;
    if (!isUtf8(content)) return { unreadable: "it is not UTF-8 text", stamp };
    return { text: content.toString(), bytes: content.length, stamp, stable };
  }
}

function readBytes(file: number, size: number): Buffer {
  const content = Buffer.allocUnsafe(size);
  let length = 0;
  while (length < size) {
    const read = readSync(file, content, length, size - length, length);
    if (read === 0) break;
    length += read;
  }
  return content.subarray(0, length);
}

/** The stamp of the file at `path`, links followed; undefined where there is none that can be seen. */
export function stampFile(path: string): FileStamp | undefined {
  const stats = statPath(path);
  return stats && stampOf(stats);
}

/** What is at `path`, links followed; undefined where there is nothing that can be seen. */
export function statPath(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined;
  }
}

function stampOf({ size, mtimeMs, ctimeMs, ino }: Stats): FileStamp {
  return { size, modified: mtimeMs, changed: ctimeMs, inode: ino };
}

export function isSameStamp(a: FileStamp | undefined, b: FileStamp | undefined): boolean {
  return (
    a?.inode === b?.inode && a?.size === b?.size && a?.modified === b?.modified && a?.changed === b?.changed
  );
}

/** True for errors that say that there is nothing at a path. */
export function isMissing(error: unknown): boolean {
  const code = codeOf(error);
  return code === "ENOENT" || code === "ENOTDIR";
}

/** Why a path cannot be read, without the path. */
export function reasonOf(error: unknown): string {
  const code = codeOf(error);
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  if (code === "ELOOP") return "its symbolic links form a loop";
  return code ?? String(error);
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error ? String(error.code) : undefined;
}
