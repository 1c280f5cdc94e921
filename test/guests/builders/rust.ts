import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { runCommand } from "../../../src/run-command.ts";
import { foldersIn, guestsFolder, isThere, type Language, root, run, writeGuest } from "./guest.ts";

const folder = join(guestsFolder, "rust");
const target = "wasm32-wasip1";
const output = join(root, "build/cargo");
const missing = "install Rust by https://rustup.rs or a package";

/** Rust, a workspace. */
export const rust: Language = {
  name: "Rust",
  async list() {
    const common = ["Cargo.toml", "Cargo.lock"].map((file) => join(folder, file));
    const crates = (await foldersIn(folder)).filter((name) => name !== "target");
    return crates.map((name) => ({
      name: `rust-${name}`,
      sources: [join(folder, name), ...common],
      from: `rust_${name.replaceAll("-", "_")}`,
    }));
  },
  async build(guests) {
    await requireTarget();
    const workspace = ["--manifest-path", join(folder, "Cargo.toml"), "--target-dir", output];
    await run("cargo", ["build", "--release", "--locked", "--target", target, ...workspace], missing);
    for (const { name, from } of guests)
      await writeGuest(name, await readFile(join(output, target, "release", `${from}.wasm`)));
  },
};

/** The standard library for Wasm, which rustup adds to its toolchains. */
async function requireTarget(): Promise<void> {
  const sysroot = (await run("rustc", ["--print", "sysroot"], missing)).trim();
  if (await isThere(join(sysroot, "lib/rustlib", target))) return;
  const { status, stderr } = await runCommand("rustup", ["target", "add", target], { timeoutMs: 600_000 });
  if (status === 0) return;
  throw new Error(
    `Rust's library for ${target} is missing; run: rustup target add ${target} (it said: ${stderr.trim().slice(-300) || "not found"})`,
  );
}
