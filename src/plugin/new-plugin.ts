import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { SystemError } from "../system-error.ts";
import type { PluginLanguage } from "./plugin-source.ts";

/** What a new plugin is made from. */
export interface NewPlugin {
  readonly name: string;
  readonly language: PluginLanguage;
  /** A folder that is not there yet, or is empty. */
  readonly directory: string;
}

const templates = fileURLToPath(new URL("../../templates", import.meta.url));
/** Stands for the plugin's name in templates. */
const placeholder = "__NAME__";
/** A name of an image, a Kubernetes resource, a Go module and a crate at once. */
const nameRule = /^[a-z](?:[a-z0-9]|-(?=[a-z0-9])){0,62}$/;

/**
 * Makes a plugin's folder from the templates of this installation: one that builds and whose tests pass as it is.
 * @returns the files, relative to the folder
 * @throws SystemError `reference-invalid` for a name that is none, `disk`
 */
export async function newPlugin({ name, language, directory }: NewPlugin): Promise<readonly string[]> {
  if (!nameRule.test(name)) {
    const expected = "lower case letters, digits and single dashes, beginning with a letter, 63 at most";
    throw new SystemError(
      "reference-invalid",
      `no plugin's name: ${JSON.stringify(name)}; expected ${expected}`,
    );
  }
  try {
    await requireEmpty(directory);
    const files = [...(await filesOf("common")), ...(await filesOf(language))];
    for (const { from, path } of files) await writeFrom(from, join(directory, path), name);
    return files.map(({ path }) => path).sort();
  } catch (error) {
    throw SystemError.from(error, "disk", `making ${directory}`);
  }
}

async function requireEmpty(directory: string): Promise<void> {
  const found = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return [];
    throw error;
  });
  if (found.length === 0) return;
  const names = found.slice(0, 3).join(", ");
  throw new SystemError(
    "disk",
    `${directory} is not empty: found ${names}; expected a folder that is not there yet`,
  );
}

async function filesOf(template: string) {
  const root = join(templates, template);
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .map((from) => ({ from, path: nameInPlugin(from.slice(root.length + 1)) }));
}

/** npm leaves files of this name out of packages. */
function nameInPlugin(path: string): string {
  return path.replace(/^gitignore$/, ".gitignore");
}

async function writeFrom(from: string, to: string, name: string): Promise<void> {
  const text = await readFile(from, "utf8");
  await mkdir(dirname(to), { recursive: true });
  await writeFile(to, text.replaceAll(placeholder, name));
}
