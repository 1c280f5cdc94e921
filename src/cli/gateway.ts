import { join } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { serveAdmin } from "../gateway/admin.ts";
import { emptyConfig } from "../gateway/apply-response.ts";
import { configDump } from "../gateway/config-dump.ts";
import { followAgent } from "../gateway/follow-agent.ts";
import { type RunningGateway, startGateway } from "../gateway/gateway.ts";
import type { GatewayConfig } from "../gateway/gateway-config.ts";
import { startGatewayWorkers } from "../gateway/workers/gateway-workers.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { jsonPage } from "../http-server.ts";
import type { Log } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { addNodeOptions, type NodeFlags, nodeOf } from "./agent.ts";
import { addConcurrency, type ConcurrencyFlags, concurrencyOf } from "./concurrency.ts";
import {
  addCommonOptions,
  addOption,
  addPort,
  type CommonOptions,
  createLifetime,
  integer,
  logOf,
  stopSignal,
  withOffset,
} from "./options.ts";

export interface GatewayFlags extends CommonOptions, NodeFlags, ConcurrencyFlags {
  readonly dataDir: string;
  readonly drainSeconds: number;
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
  addConcurrency(command);
  addNodeOptions(command);
  addPort(command, "admin-port", 15000, "Envoy's admin pages, as far as they are there");
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
  { socket, log, signal }: GatewayRoleOptions,
): Promise<RunningGateway> {
  const rest = createLifetime();
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const drainMs = flags.drainSeconds * 1000;
  const node = nodeOf(flags);
  const concurrency = concurrencyOf(flags, log);
  const options = { config, log, signal, drainMs };
  const gateway =
    concurrency === 1 ? startGateway(options) : startGatewayWorkers({ ...options, concurrency });
  const startedAt = new Date();
  const port = await serveAdmin({
    gateway,
    bind: flags.bind,
    port: withOffset(flags, flags.adminPort),
    version: "wasmline",
    nodeId: node.id,
    signal: rest.signal,
    pages: {
      "/config_dump": () =>
        jsonPage(
          configDump(config.value ?? emptyConfig, {
            bootstrap: { node: { id: node.id, cluster: node.cluster } },
            startedAt,
          }),
        ),
    },
  });
  log.info({ admin: port }, "gateway is up");
  followAgent({
    target: `unix:${socket}`,
    node: fromJson(NodeSchema, { ...node, extensions } as unknown as JsonValue),
    config,
    preparers: gateway.preparers,
    signal: rest.signal,
    log,
  });
  void gateway.closed.then(() => rest.abort());
  return gateway;
}
