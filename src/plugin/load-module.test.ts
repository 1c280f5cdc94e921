import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { loadModule } from "./load-module.ts";

test("a module that is not built yet is a file that is missing, and no image", async () => {
  const folder = await mkdtemp(join(tmpdir(), "load-module-"));
  for (const text of ["../build/plugin.wasm", "./plugin.wasm", "build/plugin.wasm", "plugin.wasm"]) {
    const path = join(folder, text).replaceAll(".", "\\.");
    await assert.rejects(loadModule(text, folder), {
      name: "SystemError",
      message: new RegExp(`^there is no module at ${path}; .*wasmline plugin build`),
    });
  }
  await rm(folder, { recursive: true });
});
