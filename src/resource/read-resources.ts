import { resolve } from "node:path";
import { SystemError } from "../system-error.ts";
import { acceptText, acceptUnreadable, type KnownFile, unknownFile } from "./last-good.ts";
import { systemNamespace } from "./parse.ts";
import { maxFileSize, readTextFile, stampFile } from "./read-file.ts";
import { combineFiles, type SourceState } from "./source-state.ts";
import { SourceTree } from "./source-tree.ts";

export interface ReadOptions {
  /** The namespace of resources that name none. */
  readonly defaultNamespace?: string;
  /** What the path `-` stands for; the standard input if not given. */
  readonly stdin?: AsyncIterable<Uint8Array | string>;
}

/**
 * Reads files and directories once; the path `-` is the standard input. Throws `not-found` for a path at which there is
 * nothing, and `too-large` for a standard input of more than 64 MiB.
 */
export async function readResources(
  paths: readonly string[],
  { defaultNamespace = systemNamespace, stdin = process.stdin }: ReadOptions = {},
): Promise<SourceState> {
  const named = paths.filter((path) => path !== "-");
  for (const path of named)
    if (!stampFile(resolve(path))) throw new SystemError("not-found", `there is nothing at ${path}`);
  const tree = new SourceTree(named);
  const found = new Set(tree.roots.flatMap((root) => [...tree.scan(root, () => {}).files]));
  const files = [...found].map((path) => ({ path, name: tree.nameOf(path) }));
  files.sort((a, b) => (a.name < b.name ? -1 : 1));
  const known = files.map(({ path, name }) => readKnownFile(path, name, defaultNamespace));
  if (paths.includes("-"))
    known.push(acceptText(unknownFile, await readAll(stdin), "<stdin>", { defaultNamespace }));
  return combineFiles([{ resources: [], diagnostics: tree.problems() }, ...known]);
}

function readKnownFile(path: string, name: string, defaultNamespace: string): KnownFile {
  const content = readTextFile(path);
  if (content === "missing") return acceptUnreadable(unknownFile, name, "there is nothing at this path");
  if ("unreadable" in content) return acceptUnreadable(unknownFile, name, content.unreadable);
  return acceptText(unknownFile, content.text, name, { defaultNamespace });
}

async function readAll(input: AsyncIterable<Uint8Array | string>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of input) {
    chunks.push(Buffer.from(chunk));
    size += chunk.length;
    if (size > maxFileSize)
      throw new SystemError("too-large", `more than ${maxFileSize} bytes on the standard input`);
  }
  return Buffer.concat(chunks).toString();
}
