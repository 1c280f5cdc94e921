import { join } from "node:path";
import { foldersIn, type Guest, guestsFolder, isThere, type Language, root, writeGuest } from "./guest.ts";

const folder = join(guestsFolder, "assembly");

/** AssemblyScript, with the SDK of this package. */
export const assembly: Language = {
  name: "AssemblyScript",
  async list() {
    const common = [join(folder, "probe"), join(root, "sdk/assembly")];
    const guests: Guest[] = [];
    for (const name of await foldersIn(folder))
      if (await isThere(join(folder, name, "index.ts")))
        guests.push({ name, sources: [join(folder, name), ...common], from: `test/guests/assembly/${name}` });
    return guests;
  },
  async build(guests) {
    for (const guest of guests) await writeGuest(guest.name, await compile(guest));
  },
};

async function compile({ name, from }: Guest): Promise<Uint8Array> {
  const abort = name.startsWith("probe-")
    ? "test/guests/assembly/probe/abort/abortProbe"
    : "sdk/assembly/abort/abortPlugin";
  const { default: asc } = await import("assemblyscript/asc");
  const written = new Map<string, Uint8Array | string>();
  const options = ["-O3s", "--runtime=incremental", "--exportStart=_initialize", "--stackSize=65536"];
  const { error, stderr } = await asc.main(
    [`${from}/index.ts`, "--outFile=guest.wasm", ...options, `--use=abort=${abort}`, `--baseDir=${root}`],
    { writeFile: (file, contents) => void written.set(file, contents) },
  );
  const wasm = written.get("guest.wasm");
  if (!error && wasm instanceof Uint8Array) return wasm;
  throw new Error(`${from} does not compile\n${String(stderr)}`, { cause: error ?? undefined });
}
