import type { Command } from "commander";
import type { BuildOptions } from "../discovery/build-snapshot.ts";
import { startDiscovery } from "../discovery/discovery.ts";
import type { EcdsDefault } from "../discovery/http-filters.ts";
import type { ChainShape } from "../discovery/proxy.ts";
import {
  addCommonOptions,
  addOption,
  addPort,
  type CommonOptions,
  createLifetime,
  integer,
  localTarget,
  logOf,
  stopSignal,
  withOffset,
} from "./options.ts";
import { addCoreAccessOptions, type CoreAccessFlags, coreTlsOf } from "./secure-mcp.ts";
import { addSecurePortOptions, type SecurePortFlags, secureOptionsOf } from "./secure-port.ts";

export interface DiscoveryFlags extends CommonOptions, BuildFlags {
  readonly core: string | undefined;
  readonly mcp: "incremental" | "state-of-the-world";
  readonly xdsPort: number;
  readonly discoveryPort: number;
}

export interface BuildFlags {
  readonly ecdsDefault: EcdsDefault;
  readonly rootNamespace: string;
  readonly chain: ChainShape;
}

export function addDiscoveryCommand(program: Command): void {
  const command = program
    .command("discovery")
    .description("serve gateways by ADS what core says over MCP (istiod)");
  addCommonOptions(command);
  addOption(
    command,
    "--core <host:port>",
    "core's MCP; port 15051 with the offset on this machine unless given",
  );
  addOption(
    command,
    "--mcp <form>",
    "how core is asked; Higress' own has only the state of the world",
    (option) => option.default("incremental").choices(["incremental", "state-of-the-world"]),
  );
  addDiscoveryOptions(command);
  addCoreAccessOptions(command);
  addSecurePortOptions(command);
  addOption(
    command,
    "--drain-seconds <n>",
    "how long gateways are sent away before discovery ends",
    (option) => option.default(5).argParser(integer(0, 3600)),
  );
  command.action(runDiscovery);
}

export function addDiscoveryOptions(command: Command): void {
  addBuildOptions(command);
  addPort(command, "xds-port", 15010, "discovery's gRPC: ADS");
  addPort(command, "discovery-port", 15014, "discovery's HTTP: /ready, /debug, /metrics");
}

export function addBuildOptions(command: Command): void {
  addOption(
    command,
    "--ecds-default <which>",
    "which plugins let requests pass while they are not loaded",
    (option) => option.default("fail-open").choices(["fail-open", "always"]),
  );
  addOption(
    command,
    "--root-namespace <name>",
    "namespace whose plugins apply to gateways of every namespace",
    (option) => option.default("higress-system"),
  );
  addOption(
    command,
    "--chain <shape>",
    "a filter for each plugin in the listener, or the chain by ECDS: then adding, removing and reordering plugins leaves the listener as it is, where the gateway's Envoy has the filter for it",
    (option) => option.default("listener").choices(["listener", "dynamic"]),
  );
}

export function buildOptionsOf({ ecdsDefault, rootNamespace, chain }: BuildFlags): BuildOptions {
  return { ecdsDefault, rootNamespace, chain };
}

type RoleFlags = DiscoveryFlags & CoreAccessFlags & SecurePortFlags & { readonly drainSeconds: number };

async function runDiscovery(flags: RoleFlags, command: Command): Promise<void> {
  const log = logOf(flags).child({ role: "discovery" });
  const stop = stopSignal();
  const rest = createLifetime();
  const discovery = await startDiscovery({
    ...(await secureOptionsOf(flags, log, command)),
    core: flags.core ?? localTarget(flags.bind, 15051 + flags.portOffset),
    coreTls: coreTlsOf(flags, command),
    mcp: flags.mcp,
    build: buildOptionsOf(flags),
    bind: flags.bind,
    xdsPort: withOffset(flags, flags.xdsPort),
    httpPort: withOffset(flags, flags.discoveryPort),
    log,
    signal: rest.signal,
  });
  const end = () => void discovery.drain(flags.drainSeconds * 1000).finally(() => rest.abort());
  if (stop.aborted) end();
  else stop.addEventListener("abort", end, { once: true });
}
