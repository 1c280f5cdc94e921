import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

/** A file system of its own that is full when so many bytes, or 500 files, are on it. */
export interface SmallDisk {
  readonly directory: string;
  unmount(): Promise<void>;
}

/** Mounts a small file system in memory. Needs root, or sudo that asks nothing. */
export async function mountSmallDisk(bytes: number): Promise<SmallDisk> {
  const directory = await mkdtemp(join(tmpdir(), "small-disk-"));
  const asRoot = async (command: string, ...args: readonly string[]) => {
    const [file = "", ...rest] = process.getuid?.() === 0 ? [command] : ["sudo", "-n", command];
    await run(file, [...rest, ...args]);
  };
  await asRoot("mount", "-t", "tmpfs", "-o", `size=${bytes},nr_inodes=500,mode=0777`, "tmpfs", directory);
  return {
    directory,
    async unmount() {
      await asRoot("umount", directory);
      await rm(directory, { recursive: true });
    },
  };
}
