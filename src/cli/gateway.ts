import { join } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { serveAdmin } from "../gateway/admin.ts";
import { emptyConfig } from "../gateway/apply-response.ts";
import { followAgent } from "../gateway/follow-agent.ts";
import { type RunningGateway, startGateway } from "../gateway/gateway.ts";
import type { GatewayConfig } from "../gateway/gateway-config.ts";
import { startGatewayWorkers } from "../gateway/workers/gateway-workers.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { Log } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { ownAgent } from "../xds/own-agent.ts";
import { addAdminOptions, addNodeOptions, type NodeFlags, nodeOf } from "./agent.ts";
import { addConcurrency, type ConcurrencyFlags, concurrencyOf } from "./concurrency.ts";
import {
  addCommonOptions,
  addOption,
  type CommonOptions,
  createLifetime,
  integer,
  logOf,
  stopSignal,
  withOffset,
} from "./options.ts";
import { packageVersion } from "./package-version.ts";

export interface GatewayFlags extends CommonOptions, NodeFlags, ConcurrencyFlags {
  readonly dataDir: string;
  readonly drainSeconds: number;
  readonly maxConnections?: number | undefined;
  readonly adminBind: string | undefined;
  readonly adminPort: number;
}

export function addGatewayCommand(program: Command): void {
  const command = program
    .command("gateway")
    .description("run the embedded gateway behind an agent (in the place of Envoy)");
  addCommonOptions(command);
  addOption(command, "--data-dir <path>", "the agent's", (option) => option.default("./wasmline-data"));
  addOption(command, "--socket <path>", "the agent's xDS socket; the one in --data-dir unless given");
  addOption(command, "--drain-seconds <n>", "how long connections may take to go at the end", (option) =>
    option.default(5).argParser(integer(0, 3600)),
  );
  addOption(
    command,
    "--max-connections <n>",
    "what a listener may have open; more are closed at once; unless given any number",
    (option) => option.argParser(integer(1, 10_000_000)),
  );
  addConcurrency(command);
  addNodeOptions(command);
  addAdminOptions(command);
  command.action(runGateway);
}

/** What discovery has to know to give the chain by ECDS. */
const extensions = [{ name: "envoy.filters.http.filter_chain", category: "envoy.filters.http" }];

async function runGateway(flags: GatewayFlags & { readonly socket: string | undefined }): Promise<void> {
  const { closed } = await startGatewayRole(flags, {
    socket: flags.socket ?? join(flags.dataDir, "xds.sock"),
    log: logOf(flags).child({ role: "gateway" }),
    signal: stopSignal(),
  });
  await closed;
}

export interface GatewayRoleOptions {
  /** The agent's xDS socket. */
  readonly socket: string;
  readonly log: Log;
  readonly onPluginTrap?: (plugin: string, reason: string) => void;
  /** Drains the gateway and then ends it. */
  readonly signal: AbortSignal;
}

/**
 * The gateway role: the embedded gateway behind an agent, with its admin pages. These, and the way to the agent, are there
 * until the gateway is drained.
 * @throws SystemError `network` where the admin port is taken
 */
export async function startGatewayRole(
  flags: GatewayFlags,
  { socket, log, onPluginTrap, signal }: GatewayRoleOptions,
): Promise<RunningGateway> {
  const rest = createLifetime();
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const drainMs = flags.drainSeconds * 1000;
  const node = nodeOf(flags);
  let isConnected = false;
  const concurrency = concurrencyOf(flags, log);
  const { maxConnections } = flags;
  const options = { config, log, onPluginTrap, signal, drainMs, maxConnections };
  const gateway =
    concurrency === 1 ? startGateway(options) : startGatewayWorkers({ ...options, concurrency });
  const port = await serveAdmin({
    gateway,
    bind: flags.adminBind ?? flags.bind,
    port: withOffset(flags, flags.adminPort),
    config,
    version: packageVersion(),
    node,
    signal: rest.signal,
    log,
    drainSeconds: flags.drainSeconds,
    threads: concurrency,
    isConnected: () => isConnected,
  });
  log.info({ admin: port }, "gateway is up");
  followAgent({
    target: `unix:${socket}`,
    node: fromJson(NodeSchema, {
      ...{ ...node, extensions },
      metadata: { ...node.metadata, ...ownAgent },
    } as unknown as JsonValue),
    config,
    preparers: gateway.preparers,
    signal: rest.signal,
    log,
    onConnected: (isThere) => {
      isConnected = isThere;
    },
  });
  void gateway.closed.then(() => rest.abort());
  return gateway;
}
