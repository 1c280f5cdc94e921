// One folder, one scenario: the files in it are the value at each station, in order. `--update` writes them anew from
// `1-resources.yaml`; without it they are compared.
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { gatewayNode } from "../../src/agent/node.ts";
import { createChainResolver } from "../../src/agent/resolve-chain.ts";
import { createModuleResolver } from "../../src/agent/resolve-module.ts";
import { convertFiles, gatewaySnapshot, istioYaml, snapshotJson, toYaml } from "../../src/cli/translate.ts";
import { defaultConvertOptions } from "../../src/core/convert-options.ts";
import { type BuildOptions, defaultBuildOptions } from "../../src/discovery/build-snapshot.ts";
import { silentLog } from "../../src/log.ts";
import { formatDiagnostic } from "../../src/resource/diagnostic.ts";
import { parseDocuments } from "../../src/resource/parse.ts";
import { SystemError } from "../../src/system-error.ts";
import { resourceJson } from "../../src/xds/envoy-json.ts";
import type { XdsResource } from "../../src/xds/snapshot.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";

const update = process.argv.includes("--update");
const root = fileURLToPath(new URL(".", import.meta.url));
const folders = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());

const resolver = createChainResolver(
  createModuleResolver(async ({ url, resource }) => {
    if (url.endsWith(":missing")) throw new SystemError("not-found", `there is no ${url}`);
    return { path: `/modules/${resource}.wasm` };
  }, silentLog),
);

/** What the agent makes of a resource at the first attempt. */
function rewrite(resource: XdsResource): Promise<XdsResource> {
  const attempts = new AbortController();
  return new Promise((resolve) => {
    const onResolution = (resolution: { resource: XdsResource | undefined }) => resolve(resolution.resource!);
    resolver.resolve(resource, onResolution, attempts.signal);
  }).finally(() => attempts.abort()) as Promise<XdsResource>;
}

/** Every file of a scenario but the first, by name. */
async function runScenario(dir: string): Promise<Record<string, string>> {
  const { config, diagnostics } = await convertFiles([join(dir, "1-resources.yaml")], defaultConvertOptions);
  const options = existsSync(join(dir, "options.yaml"))
    ? load(readFileSync(join(dir, "options.yaml"), "utf8"))
    : {};
  const build: BuildOptions = { ...defaultBuildOptions, ...(options as Partial<BuildOptions>) };
  const snapshot = gatewaySnapshot(config, gatewayNode(), build);
  const { listeners, routes, extensionConfigs } = snapshotJson(snapshot);
  const rewritten = await Promise.all(
    [...snapshot.get(typeUrls.extensionConfig)!.resources.values()].map(rewrite),
  );
  return {
    "2-istio-config.yaml": istioYaml(config),
    "3-listeners.yaml": toYaml(listeners),
    "4-routes.yaml": toYaml(routes),
    "5-extension-configs.yaml": toYaml(extensionConfigs),
    "6-rewritten.yaml": toYaml(rewritten.map((resource) => resourceJson(resource))),
    "diagnostics.txt": diagnostics
      .map((found) => `${formatDiagnostic(found)}\n`)
      .join("")
      .replaceAll(`${dir}/`, ""),
  };
}

/** The values of a scenario's Secrets, which belong in none of its files but the first. */
function secretValues(dir: string): string[] {
  const { resources } = parseDocuments(
    readFileSync(join(dir, "1-resources.yaml"), "utf8"),
    "1-resources.yaml",
  );
  const secrets = resources.filter((resource) => resource.kind === "Secret");
  return secrets.flatMap(({ data }) =>
    Object.values(data).map((value) => Buffer.from(value).toString().trim()),
  );
}

suite("scenarios", () => {
  for (const { name } of folders) {
    test(name, async () => {
      const hidden = secretValues(join(root, name));
      for (const [file, text] of Object.entries(await runScenario(join(root, name)))) {
        const path = join(root, name, file);
        if (update) writeFileSync(path, text);
        assert.equal(text, readFileSync(path, "utf8"), `${name}/${file} is not what it was`);
        for (const value of hidden) assert.ok(!text.includes(value), `${name}/${file} shows a secret`);
      }
    });
  }
});
