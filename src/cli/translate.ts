import { create, type JsonValue, type MessageInitShape } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { dump } from "js-yaml";
import { type GatewayNode, gatewayNode } from "../agent/node.ts";
import type { ConvertOptions } from "../core/convert-options.ts";
import { convertResources } from "../core/convert-resources.ts";
import { type BuildOptions, buildSnapshot } from "../discovery/build-snapshot.ts";
import { proxyOf } from "../discovery/proxy.ts";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import type { IstioConfigSet } from "../istio/config.ts";
import { configz } from "../istio/configz.ts";
import { compareCodePoints } from "../istio/json.ts";
import { type Diagnostic, formatDiagnostic } from "../resource/diagnostic.ts";
import { placeDiagnostics } from "../resource/place-diagnostics.ts";
import { readResources } from "../resource/read-resources.ts";
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
  const command = new Command("translate").description(
    "run conversion and building offline, and print what they make",
  );
  addFileOption(command);
  command.addOption(
    new Option("--to <what>", "Istio's resources, or what a gateway gets")
      .choices(["istio", "xds"])
      .makeOptionMandatory(),
  );
  command.option("--node <id>", "the gateway, as router~ip~name.namespace~domain");
  command.addOption(new Option("-o, --output <format>").choices(["yaml", "json"]).default("yaml"));
  addConvertOptions(command, { http: 80, https: 443 });
  addBuildOptions(command);
  command.action(translate);
  program.addCommand(command);
}

async function translate(flags: TranslateFlags): Promise<void> {
  const { config, diagnostics } = await convertFiles(flags.file ?? ["-"], convertOptionsOf(flags, ""));
  for (const diagnostic of diagnostics) process.stderr.write(`${formatDiagnostic(diagnostic)}\n`);
  process.stdout.write(flags.to === "istio" ? printIstio(config, flags) : printXds(config, flags));
  if (diagnostics.some(({ severity }) => severity === "error")) process.exitCode = 1;
}

/** Stations 1 and 2 for files: what they become, and all there is to say about them. */
export async function convertFiles(
  files: readonly string[],
  options: ConvertOptions,
): Promise<{ readonly config: IstioConfigSet; readonly diagnostics: readonly Diagnostic[] }> {
  const { set, diagnostics } = await readResources(files, { defaultNamespace: options.systemNamespace });
  const conversion = convertResources(set, options);
  return {
    config: conversion.config,
    diagnostics: [...diagnostics, ...placeDiagnostics(conversion.diagnostics, set)],
  };
}

function printIstio(config: IstioConfigSet, { output }: TranslateFlags): string {
  return output === "json" ? `${configz(config, true)}\n` : istioYaml(config);
}

function printXds(config: IstioConfigSet, flags: TranslateFlags): string {
  const { key, value } = flags.gatewaySelector;
  const node = gatewayNode({ id: flags.node, labels: { [key]: value } });
  const json = snapshotJson(gatewaySnapshot(config, node, buildOptionsOf(flags)));
  return flags.output === "json" ? `${JSON.stringify(json, null, 2)}\n` : toYaml(json);
}

/** Istio's resources as a YAML list, with the keys of metadata and spec in the order of the alphabet. */
export function istioYaml(config: IstioConfigSet): string {
  const resources = JSON.parse(configz(config)) as { metadata: JsonValue; spec: JsonValue }[];
  return toYaml(
    resources.map((resource) => ({
      ...resource,
      metadata: sortKeys(resource.metadata),
      spec: sortKeys(resource.spec),
    })),
  );
}

function sortKeys(value: JsonValue): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(sortKeys);
  const entries = Object.entries(value).sort(([a], [b]) => compareCodePoints(a, b));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortKeys(item)]));
}

/** The YAML of a JSON value. Long strings stay on one line, so that they can be compared. */
export function toYaml(value: unknown): string {
  return dump(value, { lineWidth: -1, noRefs: true });
}

/** Station 5: what a gateway gets of Istio's resources, but with templates where it gets values from Secrets. */
export function gatewaySnapshot(config: IstioConfigSet, node: GatewayNode, options: BuildOptions): Snapshot {
  const proxy = proxyOf(create(NodeSchema, node as MessageInitShape<typeof NodeSchema>), "none");
  const WasmPlugin = config.WasmPlugin.map(({ shownSpec, ...plugin }) => ({
    ...plugin,
    spec: shownSpec ?? plugin.spec,
  }));
  // A node by its id alone names no extensions: it has whatever the shape needs.
  return buildSnapshot({ ...config, WasmPlugin }, { ...proxy, chain: options.chain }, options);
}

/** A snapshot as one object of proto3 JSON. Certificates and credentials are not in it. */
export function snapshotJson(snapshot: Snapshot) {
  const list = (typeUrl: string) =>
    [...(snapshot.get(typeUrl)?.resources.values() ?? [])].map((resource) => resourceJson(resource));
  return {
    listeners: list(typeUrls.listener),
    routes: list(typeUrls.routes),
    clusters: list(typeUrls.cluster),
    endpoints: list(typeUrls.endpoints),
    extensionConfigs: list(typeUrls.extensionConfig),
  };
}
