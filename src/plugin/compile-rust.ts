import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Diagnostic, ResourceError } from "../resource/diagnostic.ts";
import { SystemError } from "../system-error.ts";
import type { CompiledPlugin, CompileOptions } from "./compile-plugin.ts";
import { checkVersion, lastLines, runToolchain } from "./run-toolchain.ts";

const target = "wasm32-wasip1";
const install = "install Rust 1.78 or later by https://rustup.rs";

interface ToolOptions {
  readonly signal?: AbortSignal;
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd: string;
}

/** Compiles the Rust crate in a folder, a `cdylib`, in release mode. */
export async function compileRust(directory: string, compile: CompileOptions): Promise<CompiledPlugin> {
  const options = { ...compile, cwd: directory };
  const toolchain = await findVersion(options);
  await requireTarget(options);
  const args = ["build", "--release", "--target", target, "--message-format=json"];
  const result = await runToolchain("cargo", args, install, options);
  const messages = readMessages(result.stdout);
  const diagnostics = messages.flatMap((message) => toDiagnostic(message, directory) ?? []);
  const errors = diagnostics.filter(({ severity }) => severity === "error");
  if (errors.length > 0) throw new ResourceError(errors);
  if (result.status !== 0) {
    throw new SystemError("toolchain", `cargo build failed in ${directory}:\n${lastLines(result)}`);
  }
  return { wasm: await readFile(findModule(messages, directory)), toolchain, warnings: diagnostics };
}

async function findVersion(options: ToolOptions): Promise<string> {
  const { status, stdout, stderr } = await runToolchain("rustc", ["--version"], install, options);
  if (status !== 0) throw new SystemError("toolchain", `rustc failed: ${stderr.trim()}; ${install}`);
  const reason = `older ones do not know the target ${target}; run: rustup update stable`;
  checkVersion({ program: "rustc", found: stdout, wanted: [1, 78], reason });
  return `Rust ${/\d[\d.]*/.exec(stdout)?.[0] ?? ""}`;
}

/** The standard library for Wasm, which a toolchain comes without. */
async function requireTarget(options: ToolOptions): Promise<void> {
  const { stdout } = await runToolchain("rustc", ["--print", "sysroot"], install, options);
  const library = join(stdout.trim(), "lib/rustlib", target);
  if (await stat(library).catch(() => undefined)) return;
  const message = `Rust has no library for ${target}: found nothing at ${library}; run: rustup target add ${target}`;
  throw new SystemError("toolchain", message);
}

interface CargoMessage {
  readonly reason?: string;
  readonly target?: { readonly kind?: readonly string[] };
  readonly filenames?: readonly string[];
  readonly message?: RustMessage;
}

interface RustMessage {
  readonly level: string;
  readonly message: string;
  readonly code: { readonly code: string } | null;
  readonly spans: readonly RustSpan[];
  readonly children: readonly RustMessage[];
}

interface RustSpan {
  readonly file_name: string;
  readonly line_start: number;
  readonly column_start: number;
  readonly is_primary: boolean;
  readonly label: string | null;
}

function readMessages(text: string): readonly CargoMessage[] {
  return text.split("\n").flatMap((line) => (line.startsWith("{") ? [JSON.parse(line) as CargoMessage] : []));
}

function findModule(messages: readonly CargoMessage[], directory: string): string {
  const built = messages.filter(({ reason, target: made }) => {
    return reason === "compiler-artifact" && made?.kind?.includes("cdylib");
  });
  const file = built.flatMap(({ filenames }) => filenames ?? []).findLast((name) => name.endsWith(".wasm"));
  if (file !== undefined) return file;
  const expected = `[lib] with crate-type = ["cdylib"] in ${join(directory, "Cargo.toml")}`;
  throw new SystemError("toolchain", `cargo build made no module; expected ${expected}`);
}

function toDiagnostic({ reason, message: found }: CargoMessage, directory: string): Diagnostic | undefined {
  if (reason !== "compiler-message" || !found) return undefined;
  const span = found.spans.find(({ is_primary }) => is_primary) ?? found.spans[0];
  // "aborting due to …" and the like: said of nothing in particular.
  if (!span) return undefined;
  const file = join(directory, span.file_name);
  const label = span.label ? ` (${span.label})` : "";
  const code = found.code ? `${found.code.code}: ` : "";
  const hints = found.children.filter(({ level }) => level === "help" || level === "note");
  return {
    severity: found.level === "error" ? "error" : "warning",
    code: "COMPILE_ERROR",
    message: `${code}${found.message}${label}`,
    at: { file, line: span.line_start, column: span.column_start },
    ...(hints.length > 0 && { hint: hints.map(({ message }) => message).join("; ") }),
  };
}
