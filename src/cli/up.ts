import type { Command } from "commander";
import { type AgentOptions, startAgent } from "../agent/agent.ts";
import {
  cacheDirectory,
  cachedEnvoy,
  findEnvoy,
  installEnvoy,
  isExecutable,
} from "../agent/install-envoy.ts";
import { createPluginLog } from "../agent/plugin-log.ts";
import { type Core, startCore } from "../core/core.ts";
import { followReports } from "../core/status/follow-reports.ts";
import type { KnownReports } from "../core/status/report-table.ts";
import { type Discovery, startDiscovery } from "../discovery/discovery.ts";
import type { RunningGateway as EmbeddedGateway } from "../gateway/gateway.ts";
import type { Log } from "../log.ts";
import type { SourceState } from "../resource/source-state.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { type AgentFlags, addAgentOptions, agentOptionsOf, envoyOptionsOf } from "./agent.ts";
import { addCoreOptions, type CoreFlags, convertOptionsOf } from "./core.ts";
import { addDiscoveryOptions, buildOptionsOf, type DiscoveryFlags } from "./discovery.ts";
import { startGatewayRole } from "./gateway.ts";
import { type ListeningUrls, waitInEffect } from "./in-effect.ts";
import { embeddedListening, envoyListening, isServing } from "./listening-urls.ts";
import {
  addCommonOptions,
  addOption,
  createLifetime,
  localTarget,
  logOf,
  reachableAt,
  stopSignal,
  withOffset,
} from "./options.ts";
import { addRegistryOptions, type RegistryFlags, startRegistry } from "./registry.ts";
import { startSource } from "./resource-source.ts";
import { startStatusWriting } from "./status-writing.ts";
import { startWebhook } from "./webhook.ts";

type GatewayKind = "embedded" | "envoy";

export interface UpFlags extends CoreFlags, DiscoveryFlags, AgentFlags, RegistryFlags {
  readonly gateway: GatewayKind | undefined;
}

export function addUpCommand(program: Command): void {
  const command = program
    .command("up")
    .description("run all roles on this machine in one process, the gateway too unless that is an Envoy");
  addUpOptions(command);
  command.action((flags: UpFlags) => runSystem(flags));
}

export function addUpOptions(command: Command): void {
  addCommonOptions(command);
  addCoreOptions(command);
  addDiscoveryOptions(command);
  addAgentOptions(command);
  addRegistryOptions(command);
  addOption(
    command,
    "--gateway <which>",
    "the gateway; the embedded one, unless --envoy-path or --envoy-bootstrap says that it is an Envoy",
    (option) => option.choices(["embedded", "envoy"] satisfies GatewayKind[]),
  );
}

/** All roles, running. */
export interface RunningSystem {
  readonly core: Core;
  readonly discovery: Discovery;
  /** The gateway's addresses. */
  readonly listening: ListeningUrls;
}

export interface SystemOptions {
  /** Drains the gateway and ends the system; SIGTERM unless given. */
  readonly stop?: AbortSignal;
  /** Makes what core converts from what files say. */
  readonly develop?: (source: Watchable<SourceState>, signal: AbortSignal) => Watchable<SourceState>;
  readonly onRunning?: (system: RunningSystem) => void;
}

/** Runs all roles until they are stopped, and prints one line when everything is in effect. */
export async function runSystem(
  flags: UpFlags,
  { stop = stopSignal(), develop = (source) => source, onRunning }: SystemOptions = {},
): Promise<void> {
  const log = logOf(flags);
  const startGateway = gatewayKind(flags) === "envoy" ? await prepareEnvoy(flags, log) : startEmbedded;
  // The control plane serves the gateway until it is drained.
  const rest = createLifetime();
  const { signal } = rest;
  const registry = flags.layout ? await startRegistry(flags) : undefined;
  const { core, discovery } = await startControlPlane(flags, log, signal, develop);
  const agentOptions = {
    ...agentOptionsOf(flags),
    discovery: localTarget(flags.bind, discovery.xdsPort),
    envoySignal: stop,
    log: log.child({ role: "agent" }),
    signal,
  };
  const gateway = await startGateway(flags, agentOptions, stop, log);
  void waitInEffect({ core, discovery, listening: gateway.listening, signal: stop }).then(
    (ready) => ready && console.log(ready),
  );
  onRunning?.({ core, discovery, listening: gateway.listening });
  await gateway.closed.finally(async () => {
    rest.abort();
    await registry?.close();
  });
}

/** Who names an Envoy wants it to run. */
function gatewayKind({ gateway, envoyPath, envoyBootstrap }: UpFlags): GatewayKind {
  return gateway ?? (envoyPath || envoyBootstrap ? "envoy" : "embedded");
}

async function startControlPlane(
  flags: UpFlags,
  log: Log,
  signal: AbortSignal,
  develop: NonNullable<SystemOptions["develop"]>,
) {
  const loopback = { bind: flags.bind, signal };
  const convert = convertOptionsOf(flags, flags.bind, flags.portOffset);
  const reports = createWatchable<KnownReports>();
  const read = await startSource(flags, convert, log.child({ role: "core" }), signal);
  const core = await startCore({
    ...loopback,
    reports,
    ...read,
    source: develop(read.source, signal),
    convert,
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
  const targets = [`http://${localTarget(flags.bind, discovery.httpPort)}`, ...(flags.discoveryStatus ?? [])];
  const statusLog = log.child({ role: "core" });
  followReports({ targets, log: statusLog, signal }).watch(reports.set, signal);
  await startStatusWriting(flags, core, statusLog, signal);
  await startWebhook(flags, convert, statusLog, signal);
  return { core, discovery };
}

/** A gateway with its agent. */
interface RunningGateway {
  readonly listening: ListeningUrls;
  /** Settles when the gateway has ended. */
  readonly closed: Promise<void>;
}

type StartGateway = (
  flags: UpFlags,
  agentOptions: AgentOptions,
  stop: AbortSignal,
  log: Log,
) => Promise<RunningGateway>;

const startEmbedded: StartGateway = async (flags, agentOptions, stop, log) => {
  let gateway: EmbeddedGateway | undefined;
  const pluginLog = createPluginLog();
  // What Higress' Envoy offers to modules this gateway offers too.
  const agent = await startAgent({
    ...agentOptions,
    gatewayAbi: "higress",
    pluginLog,
    isGatewayReady: () => gateway !== undefined && isServing(gateway),
  });
  gateway = await startGatewayRole(flags, {
    socket: agent.socket,
    log: log.child({ role: "gateway" }),
    onPluginTrap: pluginLog.noteTrap,
    signal: stop,
  });
  return { listening: embeddedListening(gateway), closed: gateway.closed };
};

async function prepareEnvoy(flags: UpFlags, log: Log): Promise<StartGateway> {
  const path = await envoyToRun(flags, log);
  return async (_flags, agentOptions) => {
    const envoy = envoyOptionsOf(flags, path);
    const agent = await startAgent({ ...agentOptions, envoy });
    const admin = { address: reachableAt(flags.adminBind ?? flags.bind), port: envoy.adminPort };
    return { listening: envoyListening(admin), closed: agent.stopped };
  };
}

/** The Envoy that the user named, or the pinned one, which is installed where it is missing. */
async function envoyToRun({ envoyPath }: UpFlags, log: Log): Promise<string> {
  const named = envoyPath || process.env.WASMLINE_ENVOY;
  if (!named && !(await isExecutable(cachedEnvoy(cacheDirectory())))) return installEnvoy({ log });
  return findEnvoy({ envoyPath });
}
