import { promisify } from "node:util";
import zlib from "node:zlib";
import { type TarHeader, unpackTar } from "modern-tar";
import { errorText, SystemError } from "../system-error.ts";
import { findZstd } from "./zstd.ts";

const gunzip = promisify(zlib.gunzip);
const moduleName = "plugin.wasm";
/** Of what is unpacked in one go: each goes through the event loop, and 16 KiB, as zlib has it, are 400 turns for a module of Go. */
const chunkSize = 1 << 20;
/** Wrappings within each other; a module in a compressed tar has two. */
const maxWrappings = 4;

/** Which file of a tar is the module: one named plugin.wasm, or, where there is none, the first. */
export type TarRule = "named" | "named-or-first";

export interface UnpackOptions {
  /** What is unpacked, for messages. */
  readonly what: string;
  /** Of the module, and of the tar around it. */
  readonly maxBytes: number;
  readonly tarRule: TarRule;
}

/**
 * Takes a module out of its wrappings: gzip, zstd and tar, in any order, told by their first bytes.
 * @throws SystemError `module-invalid`, `too-large`
 */
export async function unpackModule(bytes: Uint8Array, options: UnpackOptions): Promise<Uint8Array> {
  let content = bytes;
  for (let depth = 0; depth <= maxWrappings; depth++) {
    const form = formOf(content);
    if (form === undefined) break;
    content = await unwrap(form, content, options);
    if (content.length > options.maxBytes) throw tooLarge(options);
  }
  checkModule(content, options.what);
  return content;
}

/** @throws SystemError `module-invalid` unless the bytes begin as a core Wasm module of version 1 does. */
export function checkModule(bytes: Uint8Array, what: string): void {
  const hex = Buffer.from(bytes.subarray(0, 8)).toString("hex");
  if (hex === "0061736d01000000") return;
  const found = hex.startsWith("0061736d")
    ? `WebAssembly of another kind (version bytes ${hex.slice(8)}); components are not modules`
    : `${bytes.length} bytes beginning with ${hex || "nothing"}`;
  throw new SystemError(
    "module-invalid",
    `${what}: found ${found}; expected a Wasm module (00 61 73 6d 01 00 00 00)`,
  );
}

type Form = "gzip" | "zstd" | "tar";

function formOf(bytes: Uint8Array): Form | undefined {
  const start = Buffer.from(bytes.subarray(0, 4)).toString("hex");
  if (start.startsWith("1f8b")) return "gzip";
  if (start === "28b52ffd") return "zstd";
  if (Buffer.from(bytes.subarray(257, 262)).toString("latin1") === "ustar") return "tar";
  return isEmptyTar(bytes) ? "tar" : undefined;
}

/** Nothing but the two blocks of zeros at the end. */
function isEmptyTar(bytes: Uint8Array): boolean {
  return (
    bytes.length >= 1024 && bytes.length % 512 === 0 && bytes.subarray(0, 1024).every((byte) => byte === 0)
  );
}

function unwrap(form: Form, bytes: Uint8Array, options: UnpackOptions): Promise<Uint8Array> {
  if (form === "tar") return takeFromTar(bytes, options);
  return decompress(form, bytes, options);
}

async function decompress(
  form: "gzip" | "zstd",
  bytes: Uint8Array,
  options: UnpackOptions,
): Promise<Uint8Array> {
  const run = form === "gzip" ? gunzip : findZstd();
  try {
    return await run(bytes, { maxOutputLength: options.maxBytes, chunkSize });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge(options);
    throw new SystemError("module-invalid", `${options.what}: broken ${form}: ${errorText(error)}`, error);
  }
}

async function takeFromTar(bytes: Uint8Array, { what, tarRule }: UnpackOptions): Promise<Uint8Array> {
  const seen: TarHeader[] = [];
  // Only headers are read at first: bodies of what is not chosen need no memory.
  await readTar(bytes, what, (header) => {
    seen.push(header);
    return false;
  });
  const files = seen.filter(isPlainFile);
  const named = files.find(({ name }) => baseName(name) === moduleName);
  const chosen = tarRule === "named-or-first" ? (named ?? files[0]) : named;
  if (chosen === undefined) throw missing(seen, what);
  const at = seen.indexOf(chosen);
  let index = 0;
  const [entry] = await readTar(bytes, what, () => index++ === at);
  return entry?.data ?? new Uint8Array();
}

async function readTar(bytes: Uint8Array, what: string, filter: (header: TarHeader) => boolean) {
  try {
    return await unpackTar(bytes, { strict: true, filter });
  } catch (error) {
    throw new SystemError("module-invalid", `${what}: broken tar: ${errorText(error)}`, error);
  }
}

/** Links and devices are nothing that a module could be in, and a name that climbs is nothing that one should be in. */
function isPlainFile({ type, name }: TarHeader): boolean {
  return (type ?? "file") === "file" && !name.split("/").includes("..");
}

function baseName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}

function missing(seen: readonly TarHeader[], what: string): SystemError {
  const shown = seen.slice(0, 5).map(({ name, type }) => `${name}${type === "file" ? "" : ` (${type})`}`);
  const rest = seen.length > shown.length ? ` and ${seen.length - shown.length} more` : "";
  const found = seen.length === 0 ? "nothing" : `${shown.join(", ")}${rest}`;
  return new SystemError(
    "module-invalid",
    `${what}: the tar holds ${found}; expected a file named ${moduleName}`,
  );
}

function tooLarge({ what, maxBytes }: UnpackOptions): SystemError {
  return new SystemError("too-large", `${what}: unpacked it has more than ${maxBytes} bytes`);
}
