import { join } from "node:path";
import { writePluginImage } from "../oci/image-layout.ts";
import { abortFailure } from "../oci/transport-error.ts";
import { writeFileAtomically } from "../oci/write-file.ts";
import { formatDiagnostic } from "../resource/diagnostic.ts";
import { SystemError } from "../system-error.ts";
import { type CompileOptions, compilePlugin } from "./compile-plugin.ts";
import { inspectModule, type ModuleReport } from "./inspect-module.ts";
import { findPluginSource, type PluginSource } from "./plugin-source.ts";
import { readPluginSpec } from "./plugin-spec.ts";

/** A plugin that was built, with what is worth knowing of it. */
export interface BuiltPlugin {
  readonly source: PluginSource;
  readonly toolchain: string;
  /** The module's file. */
  readonly module: string;
  readonly report: ModuleReport;
  /** The OCI image layout with the plugin's image. */
  readonly layout: string;
  /** How the layout names the image. */
  readonly image: string;
  /** Of the image's manifest. */
  readonly digest: string;
  readonly warnings: readonly string[];
}

/** Where a build of a plugin's folder puts its image. */
export function layoutOf(directory: string): string {
  return join(directory, "build/image");
}

/**
 * Compiles the plugin in a folder, checks that gateways take it, and packs it with spec.yaml and READMEs as an image. The
 * same source, with the same toolchain, gives the same digest.
 * @throws ResourceError for what is wrong with source or spec.yaml; SystemError `toolchain`, `not-found`,
 * `module-invalid`, `disk`, `cancelled`
 */
export async function buildPlugin(directory: string, options: CompileOptions = {}): Promise<BuiltPlugin> {
  const source = await findPluginSource(directory);
  const spec = await readPluginSpec(directory);
  const compiled = await compilePlugin(source, options);
  if (options.signal?.aborted) throw abortFailure(options.signal, `building ${directory}`);
  const module = join(directory, "build/plugin.wasm");
  const report = inspectModule({ name: module, bytes: compiled.wasm });
  checkReport(report);
  await writeFileAtomically(module, compiled.wasm).catch((error) => {
    throw SystemError.from(error, "disk", `writing ${module}`);
  });
  const layout = layoutOf(directory);
  const { digest } = await writePluginImage(layout, { ...spec, wasm: compiled.wasm });
  return {
    source,
    toolchain: compiled.toolchain,
    module,
    report,
    layout,
    image: `${spec.repository}:${spec.tag}`,
    digest,
    warnings: [
      ...compiled.warnings.map(formatDiagnostic),
      ...warningsOf(report, spec.spec !== undefined, directory),
    ],
  };
}

/**
 * What no gateway takes is neither packed nor run.
 * @throws SystemError `module-invalid`
 */
export function checkReport({ module, missingExports, gateways }: ModuleReport): void {
  const { stock, higress } = gateways;
  if (missingExports.length === 0 && (stock.loads || higress.loads)) return;
  const reason = stock.reason ?? higress.reason ?? `it does not export ${missingExports.join(", ")}`;
  throw new SystemError("module-invalid", `${module} was compiled, and no gateway takes it: ${reason}`);
}

function warningsOf({ callbacks, gateways }: ModuleReport, hasSpec: boolean, directory: string): string[] {
  const { stock } = gateways;
  return [
    ...(stock.loads ? [] : [`a stock Envoy refuses it: ${stock.reason}`]),
    ...(stock.loads && stock.reason ? [`in a stock Envoy ${stock.reason}`] : []),
    ...(callbacks.length > 0 ? [] : ["it exports none of a plugin's callbacks, so nothing calls it"]),
    ...(hasSpec ? [] : [`${join(directory, "spec.yaml")} is missing: consoles show nothing of the plugin`]),
  ];
}
