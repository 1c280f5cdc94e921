import { rename, writeFile } from "node:fs/promises";

/**
 * Gives a file other content in one step. A file that is written in place is empty for as long as the machine leaves it
 * so, and on a busy one that may be longer than a source waits before it takes a resource for removed.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeFile(`${path}.new`, text);
  await rename(`${path}.new`, path);
}
