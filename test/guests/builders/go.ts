import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { requireGo } from "../../peers/go.ts";
import { foldersIn, type Guest, guestsFolder, type Language, root, run, writeGuest } from "./guest.ts";

const folder = join(guestsFolder, "go");
const missing = "install Go 1.24 or later from https://go.dev/dl/";

/** Go, with Higress' SDKs. */
export const go: Language = {
  name: "Go",
  async list() {
    const version = await run(await requireGo(), ["version"], missing);
    const common = ["go.mod", "go.sum"].map((file) => join(folder, file));
    const guests: Guest[] = (await foldersIn(folder)).map((name) => ({
      name: `go-${name}`,
      sources: [join(folder, name), ...common],
      from: join(folder, name),
    }));
    const rules = join(guestsFolder, "go-rules");
    const header = join(root, "bench/guests/go-header");
    guests.push({ name: "go-rules", sources: [rules], from: rules });
    guests.push({ name: "go-header", sources: [header], from: header, onDemand: true });
    const plugins = join(root, "bench/guests/go-plugins");
    for (const name of await foldersIn(plugins))
      guests.push({ name: `go-${name}`, sources: [plugins], from: join(plugins, name), onDemand: true });
    return guests.map((guest) => ({ ...guest, toolchain: version }));
  },
  async build(guests) {
    for (const { name, from } of guests) await writeGuest(name, await compile(from));
  },
};

async function compile(from: string): Promise<Uint8Array> {
  // The linker writes a header for C beside the module.
  const work = await mkdtemp(join(tmpdir(), "wasmline-go-"));
  try {
    const module = join(work, "guest.wasm");
    const env = { ...process.env, GOOS: "wasip1", GOARCH: "wasm", GOFLAGS: "-mod=readonly -buildvcs=false" };
    const args = ["build", "-C", from, "-trimpath", "-buildmode=c-shared", "-o", module, "."];
    await run(await requireGo(), args, missing, { env });
    return await readFile(module);
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
