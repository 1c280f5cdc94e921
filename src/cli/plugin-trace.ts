import { type Command, InvalidArgumentError } from "commander";
import { chooseRuns } from "../plugin/choose-runs.ts";
import type { CaseRun } from "../plugin/job.ts";
import { runCases } from "../plugin/run-cases.ts";
import type { HeaderPair } from "../plugin/test-file.ts";
import { integer } from "./options.ts";
import { addGuestLimit, type GuestFlags } from "./plugin-options.ts";
import { addInsecureRegistry, type RegistryFlags, registryOptions } from "./registry-access.ts";

interface TraceFlags extends GuestFlags, RegistryFlags {
  readonly case: string | undefined;
  readonly config: string | undefined;
  readonly header: readonly HeaderPair[] | undefined;
  readonly body: string | undefined;
  readonly status: number | undefined;
}

export function addPluginTraceCommand(plugin: Command): void {
  const command = plugin
    .command("trace")
    .description("show what host and plugin say to each other, call by call")
    .argument("<file>", "a plugin test file (.yaml, .json), or a module: a file or an image")
    .option("--case <name>", "only this case of the test file")
    .option("--config <json>", "the plugin's configuration")
    .option(
      "--header <name:value>",
      "of the request to a module, :path and :method too; may be repeated",
      addHeader,
    )
    .option("--body <text>", "of the request to a module")
    .option("--status <code>", "what the upstream answers", integer(100, 599));
  addGuestLimit(command);
  addInsecureRegistry(command);
  command.action(trace);
}

async function trace(target: string, flags: TraceFlags): Promise<void> {
  const { case: caseName, config, header, body, status, timeout } = flags;
  const choice = { caseName, config, headers: header, body, status };
  const runs = await chooseRuns(target, choice, registryOptions(flags));
  let current: CaseRun | undefined;
  const begin = (run: CaseRun) => {
    if (current === run) return;
    current = run;
    process.stdout.write(`# ${run.test.name}\n`);
  };
  const onPart = (run: CaseRun, part: unknown) => {
    begin(run);
    process.stdout.write(`${String(part)}\n`);
  };
  const onResult = (run: CaseRun, _result: unknown, broken: string | undefined) => {
    begin(run);
    if (broken === undefined) return;
    process.exitCode = 1;
    process.stdout.write(`! ${broken}\n`);
  };
  await runCases(runs, { kind: "trace" }, { onPart, onResult }, { limitMs: timeout });
}

/** `name: value`; names may begin with a colon. */
function addHeader(text: string, previous: readonly HeaderPair[] = []): readonly HeaderPair[] {
  const at = text.indexOf(":", 1);
  if (at < 0) throw new InvalidArgumentError("Expected name:value.");
  return [...previous, [text.slice(0, at).trim().toLowerCase(), text.slice(at + 1).trim()]];
}
