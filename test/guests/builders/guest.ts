import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type CommandOptions, runCommand } from "../../../src/run-command.ts";

export const root = fileURLToPath(new URL("../../..", import.meta.url));
export const guestsFolder = join(root, "test/guests");
const output = join(root, "build/guests");
const buildTimeoutMs = 10 * 60_000;

/** A module that is built from sources. */
export interface Guest {
  /** It becomes `build/guests/NAME.wasm`. */
  readonly name: string;
  /** Files, and folders with all that is in them. */
  readonly sources: readonly string[];
  /** Where what makes it is, in its language's way. */
  readonly from: string;
  /** What else it is built by, as a toolchain's version. */
  readonly toolchain?: string;
  /** Built only when somebody asks for it by name. */
  readonly onDemand?: boolean;
}

/** A language that guests are written in. */
export interface Language {
  readonly name: string;
  list(): Promise<readonly Guest[]>;
  /** Builds several at once, and writes each by `writeGuest`. */
  build(guests: readonly Guest[]): Promise<void>;
}

export function pathOf({ name }: { readonly name: string }): string {
  return join(output, `${name}.wasm`);
}

const stampOf = (guest: Guest) => join(output, `${guest.name}.digest`);

/** Whether a guest's module is there and was built from what its sources are now. */
export async function isBuilt(guest: Guest): Promise<boolean> {
  const built = await readFile(stampOf(guest), "utf8").catch(() => "");
  return built === (await digestOf(guest)) && (await isThere(pathOf(guest)));
}

/** Remembers what a guest was built from. */
export async function noteBuilt(guest: Guest): Promise<void> {
  await writeFile(stampOf(guest), await digestOf(guest));
}

/** Puts a module in its place, whole or not at all. */
export async function writeGuest(name: string, bytes: Uint8Array): Promise<void> {
  await mkdir(output, { recursive: true });
  const unfinished = `${pathOf({ name })}.${process.pid}`;
  await writeFile(unfinished, bytes);
  await rename(unfinished, pathOf({ name }));
}

async function digestOf({ sources, toolchain = "" }: Guest): Promise<string> {
  const hash = createHash("sha256").update(toolchain);
  const builders = fileURLToPath(new URL(".", import.meta.url));
  for (const file of (await Promise.all([builders, ...sources].map(filesBelow))).flat())
    hash.update(`\0${file.slice(root.length)}\0`).update(await readFile(file));
  return hash.digest("hex");
}

async function filesBelow(path: string): Promise<readonly string[]> {
  if (!(await stat(path)).isDirectory()) return [path];
  const entries = await readdir(path, { withFileTypes: true, recursive: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** The names of the folders in a folder. */
export async function foldersIn(path: string): Promise<readonly string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

export function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Runs what builds guests. `missing` says what to do where there is no such command. */
export async function run(
  command: string,
  args: readonly string[],
  missing: string,
  options: CommandOptions = {},
): Promise<string> {
  const { status, stdout, stderr, notFound } = await runCommand(command, args, {
    timeoutMs: buildTimeoutMs,
    ...options,
  });
  if (notFound) throw new Error(`the guests of the tests need ${command}, and it is not in PATH; ${missing}`);
  if (status !== 0)
    throw new Error(`${command} ${args.join(" ")} failed\n${stdout.slice(-1000)}${stderr.slice(-3000)}`);
  return stdout;
}
