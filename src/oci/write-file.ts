import { randomUUID } from "node:crypto";
import { mkdir, open, rename, rm } from "node:fs/promises";
import { dirname } from "node:path";

/** How a file that is being written is called until it is whole. */
export const temporaryName = /\.[0-9a-f-]{36}\.tmp$/;

/**
 * Writes a file so that it is seen whole or not at all, also after a loss of power: beside its place, synced, then
 * renamed. Makes the directory.
 */
export async function writeFileAtomically(path: string, bytes: Uint8Array): Promise<void> {
  await makeDirectory(dirname(path));
  const temporary = `${path}.${randomUUID()}.tmp`;
  try {
    await writeSynced(temporary, bytes);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncDirectory(dirname(path));
}

/** Level by level, each synced; `mkdir` by itself says of a full disk only that the directory is not there. */
async function makeDirectory(path: string): Promise<void> {
  const make = () => mkdir(path).then(() => syncDirectory(dirname(path)));
  const found = await make().catch((error: NodeJS.ErrnoException) => error);
  if (found?.code === "ENOENT" && dirname(path) !== path) {
    await makeDirectory(dirname(path));
    return make().catch(throwUnlessThere);
  }
  if (found) throwUnlessThere(found);
}

function throwUnlessThere(error: NodeJS.ErrnoException): void {
  if (error.code !== "EEXIST") throw error;
}

async function writeSynced(path: string, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "wx", 0o644);
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, "r");
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
