import { join } from "node:path";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import type { Command } from "commander";
import { serveAdmin } from "../gateway/admin.ts";
import { emptyConfig } from "../gateway/apply-response.ts";
import { followAgent } from "../gateway/follow-agent.ts";
import { startGateway } from "../gateway/gateway.ts";
import type { GatewayConfig } from "../gateway/gateway-config.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { createWatchable } from "../watchable.ts";
import { addNodeOptions, type NodeFlags, nodeOf } from "./agent.ts";
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
import { packageVersion } from "./package-version.ts";

interface GatewayFlags extends CommonOptions, NodeFlags {
  readonly dataDir: string;
  readonly socket: string | undefined;
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
  addNodeOptions(command);
  addPort(command, "admin-port", 15000, "Envoy's admin pages, as far as they are there");
  command.action(runGateway);
}

/** What discovery has to know to give the chain by ECDS. */
const extensions = [{ name: "envoy.filters.http.filter_chain", category: "envoy.filters.http" }];

async function runGateway(flags: GatewayFlags): Promise<void> {
  const log = logOf(flags).child({ role: "gateway" });
  const stop = stopSignal();
  const rest = createLifetime();
  const config = createWatchable<GatewayConfig>(emptyConfig);
  const drainMs = flags.drainSeconds * 1000;
  const node = nodeOf(flags);
  const gateway = startGateway({ config, log, signal: stop, drainMs });
  let isConnected = false;
  const port = await serveAdmin({
    gateway,
    bind: flags.bind,
    port: withOffset(flags, flags.adminPort),
    config,
    version: packageVersion(),
    node,
    signal: rest.signal,
    log,
    drainSeconds: flags.drainSeconds,
    isConnected: () => isConnected,
  });
  log.info({ admin: port }, "gateway is up");
  followAgent({
    target: `unix:${flags.socket ?? join(flags.dataDir, "xds.sock")}`,
    node: fromJson(NodeSchema, { ...node, extensions } as unknown as JsonValue),
    config,
    signal: rest.signal,
    log,
    onConnected: (isThere) => {
      isConnected = isThere;
    },
  });
  await gateway.closed;
  rest.abort();
}
