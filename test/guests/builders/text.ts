import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { guestsFolder, type Language, writeGuest } from "./guest.ts";

const folder = join(guestsFolder, "wat");

/** WebAssembly text, by binaryen, which the AssemblyScript compiler brings along. */
export const text: Language = {
  name: "WebAssembly text",
  async list() {
    const files = (await readdir(folder)).filter((file) => file.endsWith(".wat"));
    return files.map((file) => ({
      name: basename(file, ".wat"),
      sources: [join(folder, file)],
      from: join(folder, file),
    }));
  },
  async build(guests) {
    const { default: binaryen } = await import("binaryen");
    for (const { name, from } of guests) {
      const module = binaryen.parseText(await readFile(from, "utf8"));
      if (!module.validate()) throw new Error(`${from} is not valid`);
      await writeGuest(name, module.emitBinary());
      module.dispose();
    }
  },
};
