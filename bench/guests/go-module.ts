import { execFile } from "node:child_process";
import { mkdir, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const source = fileURLToPath(new URL("go-header", import.meta.url));
const output = fileURLToPath(new URL("../../build/bench/go-header.wasm", import.meta.url));

/** Builds the plugin in go-header/ with the Go toolchain in PATH, 1.24 or newer, which downloads its SDK the first time. */
export async function buildGoModule(): Promise<Uint8Array> {
  await mkdir(new URL("../../build/bench", import.meta.url), { recursive: true });
  const env = { ...process.env, GOOS: "wasip1", GOARCH: "wasm" };
  const build = promisify(execFile)("go", ["build", "-buildmode=c-shared", "-o", output, "."], {
    cwd: source,
    env,
  });
  await build.catch((error: Error) => {
    throw new Error("bench/guests/go-header does not build; Go 1.24 or newer must be in PATH", {
      cause: error,
    });
  });
  return readFile(output);
}
