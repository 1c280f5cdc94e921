// Builds what `wasmline` runs: generated protobuf code, dist/, the plugins, and their images in build/images.
// Each step does nothing when its output is newer than its sources.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildPlugins, listPlugins } from "./build-plugins.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const run = (...args) => execFileSync(process.execPath, args, { cwd: root, stdio: ["ignore", 2, 2] });

run("scripts/generate.mjs");
if (newest("src", "tsconfig.json", "package-lock.json") > newest("dist/cli/main.js")) {
  console.error("compiling src to dist");
  run("node_modules/typescript/bin/tsc", "-p", "tsconfig.json");
}
await buildPlugins();
await packImages();

/** Packs each plugin as the image that an installation pulls: Higress' repository name, the version as tag. */
async function packImages() {
  const { writePluginImage } = await import(join(root, "dist/oci/image-layout.js"));
  const { readPluginSpec } = await import(join(root, "dist/plugin/plugin-spec.js"));
  for (const name of await listPlugins()) {
    const { repository, ...image } = await readPluginSpec(join(root, "plugins", name));
    const wasm = readFileSync(join(root, "build/plugins", `${name}.wasm`));
    await writePluginImage(join(root, "build/images"), {
      ...image,
      wasm,
      repository: `plugins/${repository}`,
    });
  }
}

function newest(...paths) {
  return Math.max(...paths.map((path) => newestIn(join(root, path))));
}

function newestIn(path) {
  if (!existsSync(path)) return 0;
  const stat = statSync(path);
  if (!stat.isDirectory()) return stat.mtimeMs;
  return Math.max(stat.mtimeMs, ...readdirSync(path).map((name) => newestIn(join(path, name))));
}
