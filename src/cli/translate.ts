import { Command, Option } from "commander";
import { dump } from "js-yaml";
import { create } from "@bufbuild/protobuf";
import { convertResources } from "../core/convert-resources.ts";
import { buildSnapshot } from "../discovery/build-snapshot.ts";
import { proxyOf } from "../discovery/proxy.ts";
import { gatewayNode } from "../agent/node.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { IstioConfigSet } from "../istio/config.ts";
import { configz } from "../istio/configz.ts";
import { formatDiagnostic } from "../resource/diagnostic.ts";
import { readResources } from "../resource/read-resources.ts";
import { placeDiagnostics } from "../resource/place-diagnostics.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import type { Snapshot } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { addConvertOptions, addFileOption, type ConvertFlags, convertOptionsOf } from "./core.ts";
import { addBuildOptions, type BuildFlags, buildOptionsOf } from "./discovery.ts";

interface TranslateFlags extends ConvertFlags, BuildFlags {
  readonly file: readonly string[];
  readonly to: "istio" | "xds";
  readonly node: string | undefined;
  readonly output: "yaml" | "json";
}

export function addTranslateCommand(program: Command): void {
  const command = new Command("translate").description("run conversion and building offline, and print what they make");
  addFileOption(command);
  command.addOption(new Option("--to <what>", "Istio's resources, or what a gateway gets").choices(["istio", "xds"]).makeOptionMandatory());
  command.option("--node <id>", "the gateway, as router~ip~name.namespace~domain");
  command.addOption(new Option("-o, --output <format>").choices(["yaml", "json"]).default("yaml"));
  addConvertOptions(command, { http: 80, https: 443 });
  addBuildOptions(command);
  command.action(translate);
  program.addCommand(command);
}

async function translate(flags: TranslateFlags): Promise<void> {
  const { set, diagnostics: read } = await readResources(flags.file ?? ["-"], { defaultNamespace: flags.namespace });
  const conversion = convertResources(set, convertOptionsOf(flags, ""));
  const diagnostics = [...read, ...placeDiagnostics(conversion.diagnostics, set)];
  for (const diagnostic of diagnostics) process.stderr.write(`${formatDiagnostic(diagnostic)}\n`);
  const json = flags.to === "istio" ? configz(conversion.config, true) : xdsJson(conversion.config, flags);
  process.stdout.write(flags.output === "json" ? `${json}\n` : toYaml(json));
  if (diagnostics.some(({ severity }) => severity === "error")) process.exitCode = 1;
}

/** The YAML of a JSON text. Long strings stay on one line, so that they can be compared. */
export function toYaml(json: string): string {
  return dump(JSON.parse(json), { lineWidth: -1, noRefs: true });
}

function xdsJson(config: IstioConfigSet, flags: TranslateFlags): string {
  const node = create(NodeSchema, gatewayNode({ id: flags.node, labels: { [flags.gatewaySelector.key]: flags.gatewaySelector.value } }) as never);
  const snapshot = buildSnapshot(config, proxyOf(node, false), buildOptionsOf(flags));
  return JSON.stringify(snapshotJson(snapshot), null, 2);
}

/** A snapshot as one object of proto3 JSON. Certificates and credentials are not in it. */
export function snapshotJson(snapshot: Snapshot) {
  const list = (typeUrl: string) => [...(snapshot.get(typeUrl)?.resources.values() ?? [])].map((resource) => resourceJson(resource));
  return {
    listeners: list(typeUrls.listener),
    routes: list(typeUrls.routes),
    clusters: list(typeUrls.cluster),
    endpoints: list(typeUrls.endpoints),
    extensionConfigs: list(typeUrls.extensionConfig),
  };
}
