import type { Command } from "commander";
import { installEnvoy } from "../agent/install-envoy.ts";
import { createLog } from "../log.ts";
import { addOption } from "./options.ts";

export function addInstallCommand(program: Command): void {
  const install = program.command("install").description("install what wasmline runs with");
  const envoy = install
    .command("envoy")
    .description("put the pinned Envoy into the cache and print its path");
  addOption(envoy, "--cache-dir <path>", "the cache; WASMLINE_CACHE or ~/.cache/wasmline unless given");
  envoy.action(async ({ cacheDir }: { cacheDir?: string }) => {
    console.log(await installEnvoy({ cacheDir, log: createLog() }));
  });
}
