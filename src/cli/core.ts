import type { Command } from "commander";
import type { ConvertOptions } from "../core/convert-options.ts";
import { startCore } from "../core/core.ts";
import { watchDirectory } from "../resource/directory-source.ts";
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

export interface CoreFlags extends CommonOptions, ConvertFlags {
  readonly file: readonly string[];
  readonly corePort: number;
  readonly mcpPort: number;
}

export interface ConvertFlags {
  readonly namespace: string;
  readonly gatewaySelector: { readonly key: string; readonly value: string };
  readonly ingressClass: string;
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
  command.action(runCore);
}

export function addCoreOptions(command: Command): void {
  addFileOption(command);
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
  addOption(command, "--ingress-class <name>", "which Ingresses count; all where it is empty", (option) =>
    option.default(""),
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
export function convertOptionsOf(flags: ConvertFlags, bind: string, portOffset = 0): ConvertOptions {
  const address = flags.gatewayBind ?? bind;
  return {
    systemNamespace: flags.namespace,
    gatewaySelector: flags.gatewaySelector,
    ingressClass: flags.ingressClass,
    clusterId: flags.clusterId,
    gatewayHttpPort: flags.gatewayHttpPort + portOffset,
    gatewayHttpsPort: flags.gatewayHttpsPort + portOffset,
    gatewayBind: address === "0.0.0.0" ? "" : address,
  };
}

async function runCore(flags: CoreFlags): Promise<void> {
  const signal = stopSignal();
  const log = logOf(flags).child({ role: "core" });
  const source = await watchDirectory(flags.file ?? ["."], {
    defaultNamespace: flags.namespace,
    signal,
    log,
  });
  await startCore({
    source,
    convert: convertOptionsOf(flags, flags.bind, flags.portOffset),
    bind: flags.bind,
    httpPort: withOffset(flags, flags.corePort),
    xdsPort: withOffset(flags, flags.mcpPort),
    log,
    signal,
  });
}
