import { type Command, Option } from "commander";
import type { Finding } from "../plugin/find-toolchain.ts";
import { type GatewayReport, inspectModule, type ModuleReport } from "../plugin/inspect-module.ts";
import { loadModule } from "../plugin/load-module.ts";
import { addInsecureRegistry, type RegistryFlags, registryOptions } from "./registry-access.ts";

interface InspectFlags extends RegistryFlags {
  readonly output: "text" | "json";
}

export function addPluginInspectCommand(plugin: Command): void {
  const command = plugin
    .command("inspect")
    .description("say what a module is, what it needs, and which gateways take it")
    .argument("<module>", "a file, or an image as oci://registry/repository:tag")
    .addOption(new Option("-o, --output <format>").choices(["text", "json"]).default("text"));
  addInsecureRegistry(command);
  command.action(inspect);
}

async function inspect(text: string, flags: InspectFlags): Promise<void> {
  const report = inspectModule(await loadModule(text, ".", registryOptions(flags)));
  process.stdout.write(flags.output === "json" ? `${JSON.stringify(report, null, 2)}\n` : describe(report));
}

function describe(report: ModuleReport): string {
  const { memory, gateways } = report;
  const size = (bytes: number | null) => (bytes === null ? "none" : formatBytes(bytes));
  const rows: readonly (readonly [string, string])[] = [
    ["module", `${report.module} (${formatBytes(report.bytes)})`],
    ["digest", report.digest],
    ["ABI", list(report.abi)],
    ["SDK", finding(report.sdk)],
    ["language", finding(report.language)],
    ["made by", list(report.producers.map(({ name, version }) => `${name} ${version}`.trim()))],
    ["starts with", list(report.start)],
    [
      "memory",
      `${memory.imported ? "imported" : size(memory.initialBytes)}, at most: ${size(memory.maximumBytes)}`,
    ],
    ["callbacks", list(report.callbacks)],
    ["host functions", list(report.hostFunctions)],
    ["missing exports", list(report.missingExports)],
    ["stock Envoy", gateway(gateways.stock)],
    ["Higress' Envoy", gateway(gateways.higress)],
    ["sections", list(report.sections.map(({ name, bytes }) => `${name} ${formatBytes(bytes)}`))],
  ];
  return rows.map(([name, value]) => `${name.padEnd(16)} ${value}\n`).join("");
}

function finding({ name, because }: Finding): string {
  return because === undefined ? name : `${name} (${because})`;
}

function gateway({ loads, adaptations, missingImports, reason }: GatewayReport): string {
  const changes = adaptations.length === 0 ? "" : `, adapted: ${adaptations.join(", ")}`;
  const higress = missingImports.length === 0 ? "" : `, of its own: ${missingImports.join(", ")}`;
  const note = reason === undefined ? "" : `; ${reason}`;
  return loads ? `loads it${changes}${higress}${note}` : `refuses it: ${reason}`;
}

function list(items: readonly string[]): string {
  return items.length === 0 ? "none" : items.join(", ");
}

/** `1.5 MiB`. */
export function formatBytes(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  return bytes < 1024 ** 2 ? `${(bytes / 1024).toFixed(1)} KiB` : `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}
