import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Command, InvalidArgumentError } from "commander";
import { type DevLoop, type DevSwap, startDevLoop } from "../plugin/dev/dev-loop.ts";
import { developResources } from "../plugin/dev/dev-resources.ts";
import { startEchoUpstream } from "../plugin/dev/echo-upstream.ts";
import { findPlugins } from "../plugin/dev/find-plugins.ts";
import type { SourceState } from "../resource/source-state.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { createLifetime, logOf, stopSignal } from "./options.ts";
import { addGuestLimit, type GuestFlags } from "./plugin-options.ts";
import { waitSwapped } from "./swapped.ts";
import { addUpOptions, type RunningSystem, runSystem, type UpFlags } from "./up.ts";

interface Upstream {
  readonly address: string;
  readonly port: number;
}

interface DevFlags extends UpFlags, GuestFlags {
  readonly swapAnyway: boolean | undefined;
  readonly upstream: Upstream | undefined;
}

export function addDevCommand(program: Command): void {
  const command = program
    .command("dev")
    .description(
      "build, test and run plugins while they are written: each change that passes its tests is in effect",
    )
    .argument("[dir]", "a plugin's folder, or one with plugins below it", ".")
    .option("--swap-anyway", "a module is in effect also when its tests fail")
    .option(
      "--upstream <host:port>",
      "where requests go when the resources have no Ingress; to a server that tells them back unless given",
      upstreamOf,
    );
  addGuestLimit(command);
  addUpOptions(command);
  command.action(dev);
}

async function dev(directory: string, flags: DevFlags): Promise<void> {
  const stop = stopSignal();
  // Requests that are under way at the end still have an upstream.
  const rest = createLifetime();
  const sources = await findPlugins(directory);
  const upstream = flags.upstream ?? { address: "127.0.0.1", port: await startEchoUpstream(rest.signal) };
  const loop = await startDevLoop({
    sources,
    dataDir: flags.dataDir,
    swapAnyway: flags.swapAnyway ?? false,
    limitMs: flags.timeout,
    print: console.log,
    log: logOf(flags).child({ role: "dev" }),
    signal: stop,
  });
  const file =
    flags.file ?? sources.map((source) => join(source.directory, "wasmplugin.yaml")).filter(existsSync);
  const options = { namespace: flags.namespace, upstream };
  await runSystem(
    { ...flags, file },
    {
      stop,
      develop: (source, signal) => withModules(source, loop, options, signal),
      onRunning: (system) => loop.swaps.watch((swap) => void tellSwap(system, swap, stop), stop),
    },
  ).finally(() => rest.abort());
}

function withModules(
  source: Watchable<SourceState>,
  { modules }: DevLoop,
  options: Parameters<typeof developResources>[2],
  signal: AbortSignal,
): Watchable<SourceState> {
  const developed = createWatchable<SourceState>();
  // A cluster's resources come when they come.
  const update = () => source.value && developed.set(developResources(source.value, modules.value!, options));
  source.watch(update, signal);
  modules.watch(update, signal);
  return developed;
}

/** Prints what becomes of a new module at the gateway. */
async function tellSwap(system: RunningSystem, swap: DevSwap, stop: AbortSignal): Promise<void> {
  const { plugin, url, savedAtMs, overtaken } = swap;
  const outcome = await waitSwapped(system, url, AbortSignal.any([stop, overtaken]));
  if (outcome === undefined) return;
  if (outcome.error !== "") console.log(`${plugin.name}: refused: ${outcome.error}`);
  else {
    console.log(`${plugin.name}: in effect ${Math.round(performance.now() - savedAtMs)} ms after the change`);
    await plugin.forgetOld();
  }
}

function upstreamOf(text: string): Upstream {
  const [, address = "", port] =
    /^(\d+\.\d+\.\d+\.\d+):(\d{1,5})$/.exec(text.replace(/^localhost:/, "127.0.0.1:")) ?? [];
  if (Number(port) > 0 && Number(port) < 65536) return { address, port: Number(port) };
  throw new InvalidArgumentError("Expected an IPv4 address and a port, as 127.0.0.1:3000.");
}
