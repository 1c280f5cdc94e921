import { type Command, Option } from "commander";
import { loadTests, testInputs } from "../plugin/load-tests.ts";
import { formatReport, type ReportFormat } from "../plugin/report.ts";
import { runTests } from "../plugin/run-tests.ts";
import { ResourceError } from "../resource/diagnostic.ts";
import { SystemError } from "../system-error.ts";
import { watchFile } from "../watch-file.ts";
import { stopSignal } from "./options.ts";
import { addGuestLimit, type GuestFlags } from "./plugin-options.ts";
import { addInsecureRegistry, type RegistryFlags, registryOptions } from "./registry-access.ts";

interface TestFlags extends GuestFlags, RegistryFlags {
  readonly wasm: string | undefined;
  readonly output: ReportFormat;
  readonly watch: boolean | undefined;
}

export function addPluginTestCommand(plugin: Command): void {
  const command = plugin
    .command("test")
    .description("run test cases of a plugin, with no proxy and no container")
    .argument("<file...>", "plugin test files")
    .option("--wasm <module>", "a file or an image in the place of the one that the files name")
    .addOption(
      new Option("-o, --output <format>", "how results are printed")
        .choices(["text", "json", "junit"])
        .default("text"),
    )
    .option("--watch", "run again when a test file or a module changes");
  addGuestLimit(command);
  addInsecureRegistry(command);
  command.action(test);
}

async function test(files: readonly string[], flags: TestFlags): Promise<void> {
  if (flags.watch) await watchTests(files, flags);
  else if (!(await runOnce(files, flags))) process.exitCode = 1;
}

/** Runs and prints all cases; says whether all have passed. */
async function runOnce(files: readonly string[], flags: TestFlags, signal?: AbortSignal): Promise<boolean> {
  const tests = await loadTests(files, flags.wasm, registryOptions(flags));
  const { results, coverage } = await runTests(tests, { limitMs: flags.timeout, signal });
  process.stdout.write(formatReport(results, flags.output, coverage));
  return results.every(({ ok }) => ok);
}

const watchMs = 200;

/** Runs all cases now and after each change, until SIGINT or SIGTERM. What is wrong with the files is printed, and waits for a change too. */
async function watchTests(files: readonly string[], flags: TestFlags): Promise<void> {
  const signal = stopSignal();
  // Looking at files does not keep the program going.
  const alive = setInterval(() => {}, 2 ** 30);
  while (!signal.aborted) {
    const round = new AbortController();
    const end = AbortSignal.any([signal, round.signal]);
    const inputs = await testInputs(files, flags.wasm);
    // Watched before they are read, so that no change is lost.
    const watches = inputs.map((path) => watchFile(path, () => round.abort(), end, watchMs));
    await runOnce(files, flags, signal).catch(report);
    console.error("waiting for changes of", inputs.join(", "));
    await Promise.all(watches);
  }
  clearInterval(alive);
}

function report(error: unknown): void {
  if (error instanceof ResourceError) console.error(error.message);
  else if (!(error instanceof SystemError)) throw error;
  else if (error.code !== "cancelled") console.error(`error ${error.code}: ${error.message}`);
}
