import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { convertedCustomResponse, httpFilters } from "../../examples/01-seed/chapter.ts";
import { gatewayNode } from "../../src/agent/node.ts";
import { convertFiles, gatewaySnapshot } from "../../src/cli/translate.ts";
import { defaultConvertOptions } from "../../src/core/convert-options.ts";
import { defaultBuildOptions } from "../../src/discovery/build-snapshot.ts";
import { resourceJson } from "../../src/xds/envoy-json.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";

const resources = fileURLToPath(new URL("seed-chapter/1-resources.yaml", import.meta.url));

function readGolden(file: string): string {
  return readFileSync(new URL(`seed-chapter/${file}`, import.meta.url), "utf8");
}

interface Listener {
  readonly filter_chains: readonly { filters: readonly { typed_config: { http_filters: unknown } }[] }[];
}

test("the scenario seed-chapter has the chapter's converted plugin, to the byte", () => {
  const item = convertedCustomResponse.replace(/^/gm, "  ").replace(/^ {2}/, "- ").trimEnd();
  assert.ok(readGolden("2-istio-config.yaml").includes(`${item}\n`));
});

test("the scenario seed-chapter has the chapter's chain of filters", async () => {
  const { config } = await convertFiles([resources], defaultConvertOptions);
  const snapshot = gatewaySnapshot(config, gatewayNode(), { ...defaultBuildOptions, ecdsDefault: "always" });
  const [listener] = [...snapshot.get(typeUrls.listener)!.resources.values()];
  const [chain] = (resourceJson(listener!, true) as unknown as Listener).filter_chains;
  assert.deepEqual(chain?.filters[0]?.typed_config.http_filters, load(httpFilters));
});

test("`wasmline translate` prints what the scenario seed-chapter has", () => {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const translate = (...args: string[]) =>
    execFileSync(process.execPath, ["--import", "tsx", main, "translate", "-f", resources, ...args], {
      encoding: "utf8",
    });
  assert.equal(translate("--to", "istio"), readGolden("2-istio-config.yaml"));
  const xds = load(translate("--to", "xds", "--ecds-default", "always")) as Record<string, unknown>;
  assert.deepEqual(xds.listeners, load(readGolden("3-listeners.yaml")));
  assert.deepEqual(xds.routes, load(readGolden("4-routes.yaml")));
  assert.deepEqual(xds.extensionConfigs, load(readGolden("5-extension-configs.yaml")));
});
