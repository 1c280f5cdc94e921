import { type Command, InvalidArgumentError } from "commander";
import { type AgentOptions, defaultModuleCacheBytes, startAgent } from "../agent/agent.ts";
import type { AdminAddress } from "../agent/envoy-admin.ts";
import { findEnvoy } from "../agent/install-envoy.ts";
import { type GatewayNode, gatewayNode } from "../agent/node.ts";
import type { RestartRequest } from "../agent/run-envoy.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { addConcurrency } from "./concurrency.ts";
import { addDiscoveryAccessOptions, type DiscoveryAccessFlags, discoveryTlsOf } from "./discovery-access.ts";
import {
  addCommonOptions,
  addOption,
  addPort,
  type CommonOptions,
  collect,
  createLifetime,
  integer,
  localTarget,
  logOf,
  pair,
  stopSignal,
  withOffset,
} from "./options.ts";
import { addConnectionOptions, type ConnectionFlags } from "./registry-access.ts";

export interface AgentFlags extends CommonOptions, NodeFlags, ConnectionFlags {
  readonly envoy: boolean;
  readonly envoyPath: string | undefined;
  readonly envoyBootstrap: string | undefined;
  readonly concurrency: number | undefined;
  readonly adminBind: string | undefined;
  readonly adminPort: number;
  readonly gatewayAdmin: AdminAddress | undefined;
  readonly agentPort: number;
  readonly dataDir: string;
  readonly drainSeconds: number;
  readonly envoyLogLevel: NonNullable<AgentOptions["envoy"]>["logLevel"];
  readonly registryMirror: readonly string[] | undefined;
  readonly gatewayAbi: AgentOptions["gatewayAbi"];
  readonly moduleCacheBytes: number;
  readonly xds: "incremental" | "state-of-the-world";
}

export interface NodeFlags {
  readonly nodeName: string;
  readonly nodeNamespace: string;
  readonly nodeIp: string;
  readonly nodeLabel: readonly string[] | undefined;
}

export function addAgentCommand(program: Command): void {
  const command = program
    .command("agent")
    .description("run a gateway's Envoy, proxy its ADS and pull its modules (Istio's pilot-agent)");
  addCommonOptions(command);
  addDiscoveryAccessOptions(command);
  addAgentOptions(command);
  command.option(
    "--no-envoy",
    "run no Envoy: the gateway is somebody else's and connects to the socket by itself",
  );
  addOption(
    command,
    "--gateway-admin <host:port>",
    "with --no-envoy: the gateway's admin interface; the agent is ready when that says that the gateway is",
    (option) => option.argParser(address),
  );
  command.action(runAgent);
}

/** Where nobody said how many. */
const envoyWorkers = 2;

export function addAgentOptions(command: Command): void {
  addOption(
    command,
    "--envoy-path <path>",
    "the Envoy to run; WASMLINE_ENVOY, else the installed one, unless given",
  );
  addOption(
    command,
    "--envoy-bootstrap <file>",
    "settings (JSON or YAML) that Envoy merges over the bootstrap it gets",
  );
  addConcurrency(command);
  addOption(command, "--data-dir <path>", "holds modules, socket and Envoy's bootstrap", (option) =>
    option.default("./wasmline-data"),
  );
  addOption(
    command,
    "--drain-seconds <n>",
    "how long connections may take to go when Envoy ends or another takes over",
    (option) => option.default(5).argParser(integer(0, 3600)),
  );
  addOption(command, "--envoy-log-level <level>", "what Envoy itself logs", (option) =>
    option.default("warning").choices(["trace", "debug", "info", "warning", "error", "critical", "off"]),
  );
  addConnectionOptions(command);
  addOption(
    command,
    "--registry-mirror <from=to>",
    "pull from another registry than the image says; may be repeated",
    (option) => option.argParser(collect),
  );
  addOption(
    command,
    "--gateway-abi <abi>",
    "whose Envoy the gateway is: modules for Higress' are adapted to a stock one, or refused",
    (option) => option.default("stock").choices(["stock", "higress"]),
  );
  addOption(
    command,
    "--module-cache-bytes <n>",
    "what modules on disk may take together; above it, those that are not in effect go, least recently used first",
    (option) => option.default(defaultModuleCacheBytes).argParser(integer(0, Number.MAX_SAFE_INTEGER)),
  );
  addOption(command, "--xds <form>", "how Envoy asks for its configuration", (option) =>
    option.default("incremental").choices(["incremental", "state-of-the-world"]),
  );
  addNodeOptions(command);
  addPort(
    command,
    "agent-port",
    15020,
    "the agent's HTTP: /healthz/ready, /stats/prometheus, /debug/modules",
  );
  addAdminOptions(command);
}

/** Where the gateway's admin interface listens. */
export function addAdminOptions(command: Command): void {
  addPort(command, "admin-port", 15000, "the gateway's admin interface: Envoy's paths and shapes");
  addOption(
    command,
    "--admin-bind <address>",
    "address of the gateway's admin interface; that of --bind unless given. Envoy's shows secrets, and anybody who reaches it may end it",
  );
}

/** `host:port`. */
function address(text: string): AdminAddress {
  const [, host, port] = /^\[?([^\]\s]+?)\]?:(\d{1,5})$/.exec(text) ?? [];
  if (host && Number(port) <= 65535) return { address: host, port: Number(port) };
  throw new InvalidArgumentError("Expected host:port.");
}

/** How a gateway names itself. */
export function addNodeOptions(command: Command): void {
  addOption(command, "--node-name <name>", "names this gateway", (option) => option.default("gateway"));
  addOption(command, "--node-namespace <name>", "the gateway's namespace", (option) =>
    option.default("higress-system"),
  );
  addOption(command, "--node-ip <address>", "the gateway's address", (option) => option.default("127.0.0.1"));
  addOption(command, "--node-label <key=value>", "a label of the gateway; may be repeated", (option) =>
    option.argParser(collect),
  );
}

export function nodeOf(flags: NodeFlags): GatewayNode {
  const labels = flags.nodeLabel?.map(pair).map(({ key, value }) => [key, value] as const);
  return gatewayNode({
    name: flags.nodeName,
    namespace: flags.nodeNamespace,
    ip: flags.nodeIp,
    labels: labels && Object.fromEntries(labels),
  });
}

/** What the flags say of an agent; without its Envoy and its log. */
export function agentOptionsOf(
  flags: AgentFlags,
): Omit<AgentOptions, "log" | "signal" | "envoy" | "discovery"> {
  return {
    node: nodeOf(flags),
    dataDir: flags.dataDir,
    bind: flags.bind,
    httpPort: withOffset(flags, flags.agentPort),
    insecureRegistries: flags.insecureRegistry ?? [],
    registryMirrors: new Map((flags.registryMirror ?? []).map(pair).map(({ key, value }) => [key, value])),
    registryAuthorities: new Map((flags.registryCa ?? []).map(pair).map(({ key, value }) => [key, value])),
    unverifiedRegistries: flags.registrySkipVerify ?? [],
    allowPrivateRedirects: flags.allowPrivateRedirects === "true",
    gatewayAbi: flags.gatewayAbi,
    moduleCacheBytes: flags.moduleCacheBytes,
    incremental: flags.xds === "incremental",
  };
}

/** What the flags say of the agent's Envoy at a path. */
export function envoyOptionsOf(flags: AgentFlags, path: string): NonNullable<AgentOptions["envoy"]> {
  return {
    path,
    concurrency: flags.concurrency ?? envoyWorkers,
    adminBind: flags.adminBind,
    adminPort: withOffset(flags, flags.adminPort),
    drainMs: flags.drainSeconds * 1000,
    logLevel: flags.envoyLogLevel,
    overridesPath: flags.envoyBootstrap,
    restart: restartRequests(),
  };
}

/** SIGUSR2 asks for another Envoy. Not SIGHUP: that comes by itself when a terminal is closed. */
function restartRequests(): Watchable<RestartRequest> {
  const requests = createWatchable<RestartRequest>();
  process.on("SIGUSR2", () => requests.set({ reason: "SIGUSR2" }));
  return requests;
}

async function runAgent(flags: AgentFlags & DiscoveryAccessFlags, command: Command): Promise<void> {
  const discoveryTls = discoveryTlsOf(flags, command);
  const envoy = flags.envoy
    ? envoyOptionsOf(flags, await findEnvoy({ envoyPath: flags.envoyPath }))
    : undefined;
  // Everything else, the xDS socket above all, serves until Envoy is drained.
  const signal = stopSignal();
  const rest = createLifetime();
  const agent = await startAgent({
    ...agentOptionsOf(flags),
    discovery: flags.discovery ?? localTarget(flags.bind, 15010 + flags.portOffset),
    discoveryTls,
    envoy,
    gatewayAdmin: flags.envoy ? undefined : flags.gatewayAdmin,
    envoySignal: signal,
    log: logOf(flags).child({ role: "agent" }),
    signal: rest.signal,
  });
  signal.addEventListener("abort", () => void agent.stopped.finally(() => rest.abort()), { once: true });
  // An Envoy that cannot be started at all is the end of its agent.
  await agent.stopped.finally(() => rest.abort());
}
