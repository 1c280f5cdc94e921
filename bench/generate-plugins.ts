import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export interface GenerateOptions {
  /** All plugins as documents of the one file plugins.yaml, instead of a file for each. */
  readonly oneFile?: boolean;
}

/** The YAML of a WasmPlugin with `rules` rules of about 130 bytes each. The same numbers give the same text. */
export function pluginText(plugin: number, rules: number): string {
  const header = [
    "apiVersion: extensions.higress.io/v1alpha1",
    "kind: WasmPlugin",
    "metadata:",
    `  name: plugin-${plugin}`,
    "spec:",
    "  url: oci://registry.example.com/plugins/key-auth:1.0.0",
    "  phase: AUTHN",
    `  priority: ${plugin % 1000}`,
    "  matchRules:",
  ];
  const body = Array.from({ length: rules }, (_, rule) => ruleText(plugin, rule));
  return `${header.join("\n")}\n${body.join("")}`;
}

function ruleText(plugin: number, rule: number): string {
  return `  - domain: [h${rule}.example.com]
    config:
      consumer: consumer-${plugin}-${rule}
      limit: ${rule * 10}
      message: "rule ${rule} of plugin ${plugin}"
`;
}

/** Writes `plugins` WasmPlugins into `dir` and returns the number of bytes. */
export function generatePlugins(
  dir: string,
  plugins: number,
  rules: number,
  { oneFile = false }: GenerateOptions = {},
): number {
  mkdirSync(dir, { recursive: true });
  const texts = Array.from({ length: plugins }, (_, plugin) => pluginText(plugin, rules));
  if (oneFile) writeFileSync(join(dir, "plugins.yaml"), texts.join("---\n"));
  else for (const [plugin, text] of texts.entries()) writeFileSync(join(dir, `plugin-${plugin}.yaml`), text);
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const [dir, plugins = "1000", rules = "100", mode] = process.argv.slice(2);
  if (dir === undefined) {
    process.stderr.write("usage: generate-plugins.ts DIR [PLUGINS] [RULES] [--one-file]\n");
    process.exitCode = 2;
  } else {
    const bytes = generatePlugins(dir, Number(plugins), Number(rules), { oneFile: mode === "--one-file" });
    process.stderr.write(`${bytes} bytes in ${dir}\n`);
  }
}
