import type { Command } from "commander";
import type { ConvertOptions } from "../core/convert-options.ts";
import { startCore } from "../core/core.ts";
import { followReports } from "../core/status/follow-reports.ts";
import {
  addCommonOptions,
  addOption,
  addPort,
  type CommonOptions,
  collect,
  integer,
  logOf,
  pair,
  stopSignal,
  withOffset,
} from "./options.ts";
import { addSourceOptions, type SourceFlags, startSource } from "./resource-source.ts";
import { addSecureMcpOptions, type SecureMcpFlags, secureMcpOf } from "./secure-mcp.ts";
import { addStatusOptions, type StatusFlags, startStatusWriting } from "./status-writing.ts";
import { addWebhookOptions, startWebhook, type WebhookFlags } from "./webhook.ts";

export interface CoreFlags extends CommonOptions, ConvertFlags, SourceFlags, StatusFlags, WebhookFlags {
  readonly corePort: number;
  readonly mcpPort: number;
}

export interface ConvertFlags {
  readonly namespace: string;
  readonly gatewaySelector: { readonly key: string; readonly value: string };
  readonly ingressClass: string | undefined;
  readonly clusterId: string;
  readonly gatewayHttpPort: number;
  readonly gatewayHttpsPort: number;
  readonly gatewayBind: string | undefined;
}

export function addCoreCommand(program: Command): void {
  const command = program
    .command("core")
    .description("read resources, convert them and serve them as MCP over xDS (Higress' controller)");
  addCommonOptions(command);
  addCoreOptions(command);
  addSecureMcpOptions(command);
  command.action(runCore);
}

export function addCoreOptions(command: Command): void {
  addFileOption(command);
  addSourceOptions(command);
  addStatusOptions(command);
  addWebhookOptions(command);
  addConvertOptions(command, { http: 8080, https: 8443 });
  addPort(command, "core-port", 8888, "core's HTTP: /ready, /debug/configz, /api, /metrics");
  addPort(command, "mcp-port", 15051, "core's gRPC: MCP over xDS");
}

export function addFileOption(command: Command): void {
  addOption(command, "-f, --file <path>", "a file or directory of resources; may be repeated", (option) =>
    option.argParser(collect),
  );
}

/** What conversion depends on; `ports` are the defaults of the gateways' ports. */
export function addConvertOptions(
  command: Command,
  ports: { readonly http: number; readonly https: number },
): void {
  const port = integer(1, 65535);
  addOption(command, "--namespace <name>", "the namespace whose WasmPlugins take effect", (option) =>
    option.default("higress-system"),
  );
  addOption(
    command,
    "--gateway-selector <key=value>",
    "label of the gateways that resources apply to",
    (option) =>
      option
        .default(
          { key: "higress", value: "higress-system-higress-gateway" },
          "higress=higress-system-higress-gateway",
        )
        .argParser(pair),
  );
  addOption(
    command,
    "--ingress-class <name>",
    "which Ingresses count: all where it is empty, as for files; higress for a cluster",
  );
  addOption(command, "--cluster-id <id>", "names this cluster in credential names", (option) =>
    option.default("Kubernetes"),
  );
  addOption(command, "--gateway-http-port <port>", "the gateways' port for HTTP", (option) =>
    option.default(ports.http).argParser(port),
  );
  addOption(command, "--gateway-https-port <port>", "the gateways' port for HTTPS", (option) =>
    option.default(ports.https).argParser(port),
  );
  addOption(command, "--gateway-bind <address>", "address of the gateways' ports; 0.0.0.0 for all");
}

/** The flags as conversion takes them. `bind` is where gateways listen unless `--gateway-bind` says otherwise. */
export function convertOptionsOf(
  flags: ConvertFlags & Partial<SourceFlags>,
  bind: string,
  portOffset = 0,
): ConvertOptions {
  // A cluster may have Ingresses for others than us.
  const ingressClass = flags.ingressClass ?? (flags.source === "kubernetes" ? "higress" : "");
  const address = flags.gatewayBind ?? bind;
  return {
    systemNamespace: flags.namespace,
    gatewaySelector: flags.gatewaySelector,
    ingressClass,
    clusterId: flags.clusterId,
    gatewayHttpPort: flags.gatewayHttpPort + portOffset,
    gatewayHttpsPort: flags.gatewayHttpsPort + portOffset,
    gatewayBind: address === "0.0.0.0" ? "" : address,
  };
}

async function runCore(flags: CoreFlags & SecureMcpFlags, command: Command): Promise<void> {
  const signal = stopSignal();
  const log = logOf(flags).child({ role: "core" });
  const convert = convertOptionsOf(flags, flags.bind, flags.portOffset);
  const core = await startCore({
    ...(await startSource(flags, convert, log, signal)),
    reports: followReports({ targets: flags.discoveryStatus ?? [], log, signal }),
    convert,
    bind: flags.bind,
    httpPort: withOffset(flags, flags.corePort),
    xdsPort: withOffset(flags, flags.mcpPort),
    ...(await secureMcpOf(flags, log, command)),
    log,
    signal,
  });
  await startStatusWriting(flags, core, log, signal);
  await startWebhook(flags, convert, log, signal);
}
