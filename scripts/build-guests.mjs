// Builds the guests of test/guests to build/guests/*.wasm: those in AssemblyScript, Rust, Go and WebAssembly text.
// A guest whose sources (and this script) are unchanged since it was built is left as it is.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const guests = join(root, "test/guests");
const output = join(root, "build/guests");
const rustTarget = "wasm32-wasip1";
const tenMinutes = 600_000;

/** Each language: the guests by name with the sources they depend on, and what builds several of them. */
const languages = [
  { name: "AssemblyScript", list: listAssembly, build: buildAssembly },
  { name: "WebAssembly text", list: listText, build: buildText },
  { name: "Rust", list: listRust, build: buildRust },
  { name: "Go", list: listGo, build: buildGo },
];

mkdirSync(output, { recursive: true });
for (const { name, list, build } of languages) {
  const stale = list().filter((guest) => digest(guest.sources) !== builtDigest(guest.name));
  if (stale.length === 0) continue;
  const start = performance.now();
  await build(stale);
  for (const guest of stale) writeFileSync(stamp(guest.name), digest(guest.sources));
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.error(`built guests in ${name}: ${stale.map((guest) => guest.name).join(" ")} (${seconds} s)`);
}

function stamp(name) {
  return join(output, `${name}.digest`);
}

function builtDigest(name) {
  const built = existsSync(join(output, `${name}.wasm`)) && existsSync(stamp(name));
  return built ? readFileSync(stamp(name), "utf8") : undefined;
}

/** One digest of files and of everything in folders. */
function digest(sources) {
  const hash = createHash("sha256");
  for (const file of [fileURLToPath(import.meta.url), ...sources.flatMap(filesBelow)])
    hash.update(`${file}\0`).update(readFileSync(file)).update("\0");
  return hash.digest("hex");
}

function filesBelow(path) {
  if (!existsSync(path)) return [];
  const entries = readdirSync(dirname(path), { withFileTypes: true });
  if (!entries.find(({ name }) => name === basename(path))?.isDirectory()) return [path];
  return readdirSync(path, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((file) => !file.includes("/target/"))
    .sort();
}

function foldersIn(path) {
  if (!existsSync(path)) return [];
  return readdirSync(path, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "target")
    .map((entry) => entry.name);
}

/** Puts a module in its place, whole or not at all. */
function writeGuest(name, bytes) {
  const file = join(output, `${name}.wasm`);
  writeFileSync(`${file}.new`, bytes);
  renameSync(`${file}.new`, file);
}

function listAssembly() {
  const common = [join(guests, "assembly/probe"), join(root, "sdk/assembly")];
  return foldersIn(join(guests, "assembly"))
    .filter((name) => existsSync(join(guests, "assembly", name, "index.ts")))
    .map((name) => ({ name, sources: [join(guests, "assembly", name), ...common] }));
}

async function buildAssembly(stale) {
  const { default: asc } = await import("assemblyscript/asc");
  for (const { name } of stale) {
    const entry = `test/guests/assembly/${name}/index.ts`;
    const abort = name.startsWith("probe-")
      ? "test/guests/assembly/probe/abort/abortProbe"
      : "sdk/assembly/abort/abortPlugin";
    const written = new Map();
    const options = ["-O3s", "--runtime=incremental", "--exportStart=_initialize", "--stackSize=65536"];
    const { error, stderr } = await asc.main(
      [entry, "--outFile=guest.wasm", ...options, `--use=abort=${abort}`, `--baseDir=${root}`],
      { writeFile: (file, contents) => void written.set(file, contents) },
    );
    const wasm = written.get("guest.wasm");
    if (error || !wasm)
      throw new Error(`${entry} does not compile\n${stderr}`, { cause: error ?? undefined });
    writeGuest(name, wasm);
  }
}

function listText() {
  const folder = join(guests, "wat");
  return readdirSync(folder)
    .filter((file) => file.endsWith(".wat"))
    .map((file) => ({ name: basename(file, ".wat"), sources: [join(folder, file)] }));
}

/** Assembles with binaryen, which the AssemblyScript compiler brings along. */
async function buildText(stale) {
  const { default: binaryen } = await import("binaryen");
  for (const { name, sources } of stale) {
    const module = binaryen.parseText(readFileSync(sources[0], "utf8"));
    if (!module.validate()) throw new Error(`${sources[0]} is not valid`);
    writeGuest(name, module.emitBinary());
    module.dispose();
  }
}

function listRust() {
  const folder = join(guests, "rust");
  const common = ["Cargo.toml", "Cargo.lock"].map((file) => join(folder, file));
  return foldersIn(folder).map((name) => ({
    name: `rust-${name}`,
    sources: [join(folder, name), ...common],
  }));
}

function buildRust(stale) {
  requireCommand("cargo", "Rust, by https://rustup.rs or a package");
  requireRustTarget();
  const target = join(root, "build/cargo");
  run("cargo", ["build", "--release", "--locked", "--target", rustTarget, "--target-dir", target], {
    cwd: join(guests, "rust"),
  });
  for (const { name } of stale)
    writeGuest(name, readFileSync(join(target, rustTarget, "release", `${name.replaceAll("-", "_")}.wasm`)));
}

/** The standard library for Wasm, which rustup adds to its toolchains. */
function requireRustTarget() {
  const sysroot = execFileSync("rustc", ["--print", "sysroot"], { encoding: "utf8" }).trim();
  if (existsSync(join(sysroot, "lib/rustlib", rustTarget))) return;
  const { status, stderr } = spawnSync("rustup", ["target", "add", rustTarget], {
    encoding: "utf8",
    timeout: tenMinutes,
  });
  if (status === 0) return;
  throw new Error(
    `Rust's library for ${rustTarget} is missing; run: rustup target add ${rustTarget} (it said: ${(stderr ?? "not found").trim().slice(-300)})`,
  );
}

function listGo() {
  const folder = join(guests, "go");
  const common = ["go.mod", "go.sum"].map((file) => join(folder, file));
  return foldersIn(folder).map((name) => ({ name: `go-${name}`, sources: [join(folder, name), ...common] }));
}

function buildGo(stale) {
  requireCommand("go", "Go 1.24 or later, https://go.dev/dl or a package");
  for (const { name } of stale) {
    const file = join(output, `${name}.wasm`);
    run(
      "go",
      ["build", "-buildmode=c-shared", "-trimpath", "-o", `${file}.new`, `./${name.slice("go-".length)}`],
      {
        cwd: join(guests, "go"),
        env: { ...process.env, GOOS: "wasip1", GOARCH: "wasm", GOFLAGS: "-mod=readonly -buildvcs=false" },
      },
    );
    renameSync(`${file}.new`, file);
    rmSync(file.replace(/\.wasm$/, ".h"), { force: true });
  }
}

function requireCommand(command, what) {
  const { error } = spawnSync(command, ["--version"], { stdio: "ignore" });
  if (error)
    throw new Error(`the tests need ${command} to build guests and it is not in PATH; install ${what}`);
}

function run(command, args, options) {
  const { status, stdout, stderr } = spawnSync(command, args, {
    encoding: "utf8",
    timeout: tenMinutes,
    ...options,
  });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed\n${stdout ?? ""}${stderr ?? ""}`);
}
