import { mkdir, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { until } from "./until.ts";

/** Makes a cgroup in every hierarchy of the machine, for a node's Pods to be in. */
export async function openCgroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies()) await mkdir(join(hierarchy, name));
}

/** Removes them, with those of Pods that are below. */
export async function closeCgroups(name: string): Promise<void> {
  for (const hierarchy of await hierarchies())
    await until(`${hierarchy}/${name} is gone`, () => removeTree(join(hierarchy, name)));
}

/** Folders of a cgroup are removed from below; its files cannot be, and go with it. */
async function removeTree(path: string): Promise<boolean> {
  const entries = await readdir(path, { withFileTypes: true }).catch(() => undefined);
  if (!entries) return true;
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(path, entry.name));
  await rmdir(path);
  return true;
}

async function hierarchies(): Promise<string[]> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" "));
  return mounts.filter(([, , type]) => type?.startsWith("cgroup")).map(([, path]) => path!);
}
