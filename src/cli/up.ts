import { type Command, Option } from "commander";
import { startAgent } from "../agent/agent.ts";
import {
  cacheDirectory,
  cachedEnvoy,
  findEnvoy,
  installEnvoy,
  isExecutable,
} from "../agent/install-envoy.ts";
import { startCore } from "../core/core.ts";
import { startDiscovery } from "../discovery/discovery.ts";
import type { Log } from "../log.ts";
import { watchDirectory } from "../resource/directory-source.ts";
import { type AgentFlags, addAgentOptions, agentOptionsOf, envoyOptionsOf } from "./agent.ts";
import { addCoreOptions, type CoreFlags, convertOptionsOf } from "./core.ts";
import { addDiscoveryOptions, buildOptionsOf, type DiscoveryFlags } from "./discovery.ts";
import { waitInEffect } from "./in-effect.ts";
import {
  addCommonOptions,
  createLifetime,
  localTarget,
  logOf,
  reachableAt,
  stopSignal,
  withOffset,
} from "./options.ts";
import { addRegistryOptions, type RegistryFlags, startRegistry } from "./registry.ts";

type UpFlags = CoreFlags & DiscoveryFlags & AgentFlags & RegistryFlags;

export function addUpCommand(program: Command): void {
  const command = program
    .command("up")
    .description("run all roles on this machine, in one process and an Envoy");
  addCommonOptions(command);
  addCoreOptions(command);
  addDiscoveryOptions(command);
  addAgentOptions(command);
  addRegistryOptions(command);
  command.addOption(
    new Option("--gateway <which>", "the gateway; the embedded one is not there yet")
      .choices(["envoy"])
      .default("envoy"),
  );
  command.action(up);
}

async function up(flags: UpFlags): Promise<void> {
  const stop = stopSignal();
  const log = logOf(flags);
  const envoyPath = await envoyToRun(flags, log);
  // The control plane serves the gateway until it is drained.
  const rest = createLifetime();
  const { signal } = rest;
  const loopback = { bind: flags.bind, signal };

  const source = await watchDirectory(flags.file ?? ["."], {
    defaultNamespace: flags.namespace,
    signal,
    log: log.child({ role: "core" }),
  });
  const registry = flags.layout ? await startRegistry(flags) : undefined;
  const core = await startCore({
    ...loopback,
    source,
    convert: convertOptionsOf(flags, flags.bind, flags.portOffset),
    httpPort: withOffset(flags, flags.corePort),
    xdsPort: withOffset(flags, flags.mcpPort),
    log: log.child({ role: "core" }),
  });
  const discovery = await startDiscovery({
    ...loopback,
    core: localTarget(flags.bind, core.xdsPort),
    mcp: "incremental",
    build: buildOptionsOf(flags),
    xdsPort: withOffset(flags, flags.xdsPort),
    httpPort: withOffset(flags, flags.discoveryPort),
    log: log.child({ role: "discovery" }),
  });
  const envoy = envoyOptionsOf(flags, envoyPath);
  const agent = await startAgent({
    ...loopback,
    ...agentOptionsOf(flags),
    discovery: localTarget(flags.bind, discovery.xdsPort),
    envoy,
    envoySignal: stop,
    log: log.child({ role: "agent" }),
  });
  void waitInEffect({
    core,
    discovery,
    admin: { address: reachableAt(flags.bind), port: envoy.adminPort },
    signal: stop,
  }).then((ready) => ready && console.log(ready));
  await agent.stopped.finally(async () => {
    rest.abort();
    await registry?.close();
  });
}

/** The Envoy that the user named, or the pinned one, which is installed where it is missing. */
async function envoyToRun({ envoyPath }: UpFlags, log: Log): Promise<string> {
  const named = envoyPath || process.env.WASMLINE_ENVOY;
  if (!named && !(await isExecutable(cachedEnvoy(cacheDirectory())))) return installEnvoy({ log });
  return findEnvoy({ envoyPath });
}
