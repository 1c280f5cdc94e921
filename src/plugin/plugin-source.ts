import { stat } from "node:fs/promises";
import { join } from "node:path";
import { SystemError } from "../system-error.ts";

/** Languages that plugins are built from. */
export const pluginLanguages = ["assemblyscript", "go", "rust"] as const;

export type PluginLanguage = (typeof pluginLanguages)[number];

/** The folder of a plugin's source. */
export interface PluginSource {
  readonly directory: string;
  readonly language: PluginLanguage;
}

/** By language: the file that says that a folder is a plugin in it. */
const marks: Readonly<Record<PluginLanguage, string>> = {
  assemblyscript: "assembly/index.ts",
  go: "go.mod",
  rust: "Cargo.toml",
};

/**
 * Finds out which language the plugin in a folder is written in.
 * @throws SystemError `not-found` where it is none, or more than one
 */
export async function findPluginSource(directory: string): Promise<PluginSource> {
  const found = await languagesOf(directory);
  const [language, ...others] = found;
  if (language !== undefined && others.length === 0) return { directory, language };
  const names = found.length === 0 ? "none of them" : found.map((each) => marks[each]).join(" and ");
  const expected = pluginLanguages.map((each) => `${marks[each]} (${each})`).join(", ");
  throw new SystemError(
    "not-found",
    `${directory} is no plugin's folder: found ${names}; expected one of ${expected}. ` +
      "`wasmline plugin new NAME` makes a folder to begin with",
  );
}

/** Whether a plugin is written in a folder, in whatever languages. */
export async function isPluginFolder(directory: string): Promise<boolean> {
  return (await languagesOf(directory)).length > 0;
}

async function languagesOf(directory: string): Promise<readonly PluginLanguage[]> {
  const there = await Promise.all(
    pluginLanguages.map((language) => isFile(join(directory, marks[language]))),
  );
  return pluginLanguages.filter((_, index) => there[index]);
}

function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
