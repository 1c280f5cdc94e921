import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { isRepository, isTag } from "../oci/reference.ts";
import type { Diagnostic, DiagnosticCode, FieldPath } from "../resource/diagnostic.ts";
import { ResourceError } from "../resource/diagnostic.ts";
import { locate } from "../resource/locate.ts";
import { loadYaml } from "../resource/yaml.ts";
import { SystemError } from "../system-error.ts";

/** What a plugin's folder says of the plugin, beside its source. */
export interface PluginSpec {
  /** Of the image: what `info.name` says. */
  readonly repository: string;
  /** Of the image: what `info.version` says. */
  readonly tag: string;
  /** The text of spec.yaml. */
  readonly spec?: string;
  readonly readme?: string;
  readonly readmes: { readonly en?: string; readonly zh?: string };
  readonly icon?: Uint8Array;
}

const maxIconBytes = 1 << 20;
const pngSignature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/**
 * Reads spec.yaml, in Higress' format, the READMEs and icon.png of a plugin's folder. Without spec.yaml the image is named like the
 * folder, with the tag `latest`.
 * @throws ResourceError for a broken spec.yaml or an icon that is none, SystemError `disk`
 */
export async function readPluginSpec(directory: string): Promise<PluginSpec> {
  const [icon, ...texts] = await Promise.all(
    ["icon.png", "spec.yaml", "README.md", "README_EN.md", "README_ZH.md"].map((name) =>
      readIfThere(join(directory, name)),
    ),
  );
  const [spec, readme, en, zh] = texts.map((bytes) => bytes?.toString());
  checkIcon(icon, join(directory, "icon.png"));
  return { ...nameOf(spec, directory), spec, readme, readmes: { en, zh }, icon };
}

function checkIcon(icon: Buffer | undefined, file: string): void {
  if (!icon || (icon.length <= maxIconBytes && icon.subarray(0, pngSignature.length).equals(pngSignature)))
    return;
  const found = icon.length > maxIconBytes ? `${icon.length} bytes` : "no PNG";
  const message = `found ${found}; expected a PNG of at most ${maxIconBytes} bytes: consoles show it`;
  throw new ResourceError([{ severity: "error", code: "INVALID_VALUE", message, at: { file } }]);
}

function nameOf(spec: string | undefined, directory: string) {
  const name = basename(resolve(directory)).toLowerCase();
  if (spec === undefined) return { repository: isRepository(name) ? name : "plugin", tag: "latest" };
  const file = join(directory, "spec.yaml");
  const loaded = loadYaml(spec);
  if ("problem" in loaded) {
    const { reason: message, line, column } = loaded.problem;
    throw new ResourceError([
      { severity: "error", code: "YAML_SYNTAX", message, at: { file, line, column } },
    ]);
  }
  const info = fieldOf(loaded.value, "info");
  const [repository, tag] = [fieldOf(info, "name"), fieldOf(info, "version")];
  const diagnostics = [
    ...check(repository, isRepository, ["info", "name"], "a name in lower case, such as my-plugin"),
    ...check(tag, isTag, ["info", "version"], "a version, such as 1.0.0"),
  ].map((problem): Diagnostic => {
    const position = locate({ file, line: 1, text: spec }, problem.path);
    return { ...problem, at: { file, path: problem.path, ...position } };
  });
  if (diagnostics.length > 0) throw new ResourceError(diagnostics);
  return { repository: String(repository), tag: String(tag) };
}

function check(value: unknown, isRight: (text: string) => boolean, path: FieldPath, expected: string) {
  if (typeof value === "string" && isRight(value)) return [];
  const code: DiagnosticCode = value === undefined ? "MISSING_FIELD" : "INVALID_VALUE";
  const found = value === undefined ? "nothing" : JSON.stringify(value);
  const message = `found ${found}; expected ${expected}: the image is named by it`;
  return [{ severity: "error" as const, code, message, path }];
}

function fieldOf(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, name) : undefined;
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw SystemError.from(error, "disk", `reading ${file}`);
  });
}
