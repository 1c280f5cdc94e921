import { type Command, Option } from "commander";
import type { BenchFigures } from "../plugin/bench-case.ts";
import { chooseRuns } from "../plugin/choose-runs.ts";
import type { CaseRun } from "../plugin/job.ts";
import { runCases } from "../plugin/run-cases.ts";
import { SystemError } from "../system-error.ts";
import { integer } from "./options.ts";
import { formatBytes } from "./plugin-inspect.ts";
import { addGuestLimit, type GuestFlags } from "./plugin-options.ts";
import { addInsecureRegistry, type RegistryFlags, registryOptions } from "./registry-access.ts";

interface BenchFlags extends GuestFlags, RegistryFlags {
  readonly case: string | undefined;
  readonly config: string | undefined;
  readonly streams: number;
  readonly rounds: number;
  readonly output: "text" | "json";
}

interface BenchReport extends BenchFigures {
  readonly name: string;
}

export function addPluginBenchCommand(plugin: Command): void {
  const command = plugin
    .command("bench")
    .description("measure what a plugin takes for a stream, phase by phase, without a network")
    .argument("<file>", "a module, a file or an image; or a plugin test file (.yaml, .json)")
    .option("--config <json>", "the plugin's configuration")
    .option("--case <name>", "the case of the test file to measure; the first unless given")
    .option("-n, --streams <n>", "streams in each round", integer(1, 10_000_000), 2000)
    .option("--rounds <n>", "rounds after the one that warms up", integer(1, 1000), 10)
    .addOption(new Option("-o, --output <format>").choices(["text", "json"]).default("text"));
  addGuestLimit(command);
  addInsecureRegistry(command);
  command.action(bench);
}

async function bench(target: string, flags: BenchFlags): Promise<void> {
  const { case: caseName, config, streams, rounds, timeout, output } = flags;
  const [run] = await chooseRuns(target, { caseName, config }, registryOptions(flags));
  const reports: BenchReport[] = [];
  const onResult = ({ test }: CaseRun, result: unknown, broken: string | undefined) => {
    if (broken !== undefined) throw new SystemError("timeout", broken);
    reports.push({ name: test.name, ...(result as BenchFigures) });
  };
  await runCases([run!], { kind: "bench", streams, rounds }, { onResult }, { limitMs: timeout });
  const [report] = reports;
  if (report?.failure !== undefined) process.exitCode = 1;
  process.stdout.write(output === "json" ? `${JSON.stringify(report, null, 2)}\n` : describe(report!));
}

function describe({
  name,
  streams,
  rounds,
  phases,
  memoryBytes,
  growthBytesPerStream,
  failure,
}: BenchReport): string {
  const row = (cells: readonly string[]) =>
    `${cells[0]!.padEnd(20)}${cells
      .slice(1)
      .map((cell) => cell.padStart(12))
      .join("")}\n`;
  return [
    `${name}: ${rounds} rounds of ${streams} streams; nanoseconds for a stream, host and guest\n`,
    row(["phase", "min", "median", "host calls"]),
    ...phases.map((phase) =>
      row([phase.name, ...[phase.minNs, phase.medianNs, phase.hostCalls].map(String)]),
    ),
    `memory ${formatBytes(memoryBytes)}, ${growthBytesPerStream.toFixed(1)} bytes more for each stream\n`,
    ...(failure === undefined ? [] : [`the plugin was lost: ${failure}\n`]),
  ].join("");
}
