import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Diagnostic, ResourceError } from "../resource/diagnostic.ts";
import { SystemError } from "../system-error.ts";
import type { CompiledPlugin, CompileOptions } from "./compile-plugin.ts";
import { checkVersion, lastLines, runToolchain } from "./run-toolchain.ts";

const install = "install Go 1.24 or later from https://go.dev/dl/";

/** Compiles the Go module in a folder to a reactor: its `main` is not run, its `init` is. */
export async function compileGo(
  directory: string,
  { signal, env = process.env }: CompileOptions,
): Promise<CompiledPlugin> {
  const goEnv = {
    ...env,
    GOOS: "wasip1",
    GOARCH: "wasm",
    GOFLAGS: `${env.GOFLAGS ?? ""} -buildvcs=false`.trim(),
  };
  const options = { signal, env: goEnv, cwd: directory };
  const version = await findVersion(options);
  // The linker writes a header for C beside the module.
  const work = await mkdtemp(join(tmpdir(), "wasmline-go-"));
  try {
    const output = join(work, "plugin.wasm");
    const args = ["build", "-trimpath", "-buildmode=c-shared", "-o", output, "."];
    const result = await runToolchain("go", args, install, options);
    if (result.status === 0) return { wasm: await readFile(output), toolchain: version, warnings: [] };
    const diagnostics = readGoErrors(result.stderr, directory);
    if (diagnostics.length > 0) throw new ResourceError(diagnostics);
    throw new SystemError("toolchain", `go build failed in ${directory}:\n${lastLines(result)}`);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** As the module in the folder chooses it: Go may fetch a newer one than is installed. */
async function findVersion(options: { readonly cwd: string }): Promise<string> {
  const result = await runToolchain("go", ["env", "GOVERSION"], install, options);
  if (result.status !== 0)
    throw new SystemError("toolchain", `go env failed: ${lastLines(result)}; ${install}`);
  const found = result.stdout.trim();
  const reason = `older ones cannot build a plugin (-buildmode=c-shared for wasip1); ${install}`;
  checkVersion({ program: "go", found, wanted: [1, 24], reason });
  return found.replace(/^go/, "Go ");
}

const place = /^(?:vet: )?(\S.*?\.(?:go|mod)):(\d+):(?:(\d+):)? (.*)$/;

/** The errors of `go build`, with files as paths from here. A line that is indented goes on with the one before. */
export function readGoErrors(text: string, directory: string): readonly Diagnostic[] {
  const diagnostics: Diagnostic[] = [];
  for (const line of text.split("\n")) {
    const [, file = "", row, column, message] = place.exec(line) ?? [];
    const last = diagnostics.at(-1);
    if (message !== undefined) {
      const at = { file: join(directory, file), line: Number(row), column: Number(column ?? 1) };
      diagnostics.push({ severity: "error", code: "COMPILE_ERROR", message, at });
    } else if (last && /^\s+\S/.test(line)) {
      diagnostics[diagnostics.length - 1] = { ...last, message: `${last.message} ${line.trim()}` };
    }
  }
  return diagnostics;
}
