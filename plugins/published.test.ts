import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { before, describe, it } from "node:test";
import { load } from "js-yaml";
import { buildPlugin } from "../sdk/test/modules.ts";
import { inspectModule } from "../src/plugin/inspect-module.ts";
import { runCase } from "../src/plugin/run-case.ts";
import { testCase } from "../src/plugin/test-case.ts";
import { type PluginTestCase, parseTestFile } from "../src/plugin/test-file.ts";
import { compileModule, type PluginModule } from "../src/proxy-wasm/index.ts";
import { checkSchema } from "../test/json-schema.ts";

// What a plugin is published with: cases, schema, Higress' spec and READMEs with examples. Each has to say what the plugin does.

type Json = Record<string, unknown>;

interface Spec {
  readonly apiVersion: string;
  readonly info: Json;
  readonly spec: Json & { readonly configSchema: SpecSchema; readonly routeConfigSchema?: SpecSchema };
}
interface SpecSchema {
  readonly openAPIV3Schema: Json & { readonly properties: Json; readonly example: unknown };
}

/** Plugins whose schema refuses every configuration that does not start. */
const exact = ["custom-response", "key-auth"];

const plugins = readdirSync(import.meta.dirname).filter((name) =>
  existsSync(`${import.meta.dirname}/${name}/schema.json`),
);

function read(name: string, file: string): Promise<string> {
  return readFile(new URL(`${name}/${file}`, import.meta.url), "utf8");
}

async function readCases(name: string, file: string): Promise<readonly PluginTestCase[]> {
  const { tests, diagnostics } = parseTestFile(await read(name, file), `${name}/${file}`);
  assert.deepEqual(diagnostics, []);
  return tests!.cases;
}

/** All configurations of files with cases, with whether they start. */
async function readConfigurations(name: string): Promise<{ config: unknown; starts: boolean }[]> {
  const files = ["test/cases.yaml", "test/vectors.yaml"].filter((file) =>
    existsSync(new URL(`${name}/${file}`, import.meta.url)),
  );
  const cases = (await Promise.all(files.map((file) => readCases(name, file)))).flat();
  const byText = new Map(cases.map(({ config, expect }) => [config, expect.start !== "failed"]));
  const objects = [...byText].filter(([text]) => text.startsWith("{"));
  return objects.map(([text, starts]) => ({ config: JSON.parse(text), starts }));
}

/** The configurations in a README's YAML blocks: what a WasmPlugin hands over, or the block itself. */
async function readExamples(name: string, file: string): Promise<Json[]> {
  const blocks = [...(await read(name, file)).matchAll(/^```yaml\n(.*?)^```$/gms)].map(
    ([, text]) => load(text!) as Json,
  );
  return blocks.map((block) => (block.kind === "WasmPlugin" ? configurationOf(block.spec as Json) : block));
}

interface MatchRule {
  readonly domain?: string[];
  readonly ingress?: string[];
  readonly config: Json;
}

function configurationOf({ defaultConfig, matchRules }: Json): Json {
  const rules = (matchRules as MatchRule[] | undefined)?.map(({ domain, ingress, config }) => ({
    ...config,
    ...(domain && { _match_domain_: domain }),
    ...(ingress && { _match_route_: ingress }),
  }));
  return { ...(defaultConfig as Json), ...(rules && { _rules_: rules }) };
}

for (const name of plugins)
  describe(`${name} as it is published`, () => {
    let bytes: Uint8Array;
    let module: PluginModule;
    let schema: Json;
    before(async () => {
      bytes = await readFile(await buildPlugin(name));
      module = await compileModule(bytes, { name });
      schema = JSON.parse(await read(name, "schema.json")) as Json;
    });

    /** What a start with this configuration leaves in the log at level warn and above. */
    function complaintsOf(config: unknown): string[] {
      const test = {
        name,
        config: JSON.stringify(config),
        properties: {},
        calls: [],
        expect: {},
        line: 1,
        column: 1,
      };
      const { start, logs } = runCase(test, { module, vmConfig: "", env: {} });
      const said = logs.filter(({ level }) => ["warn", "error", "critical"].includes(level));
      return [...(start === "ok" ? [] : ["not started"]), ...said.map(({ message }) => message)];
    }

    it("is a module that every gateway takes", () => {
      const { gateways, missingExports } = inspectModule({ name, bytes });
      for (const { loads, missingImports, reason } of Object.values(gateways))
        assert.deepEqual([loads, missingImports, reason], [true, [], undefined]);
      assert.deepEqual(missingExports, []);
    });

    it("does what its cases say", async () => {
      const cases = await readCases(name, "test/cases.yaml");
      const results = cases.map((each) => ({
        name: each.name,
        failures: testCase(each, { module, vmConfig: "", env: {} }).failures,
      }));
      assert.deepEqual(
        results.filter(({ failures }) => failures.length > 0),
        [],
      );
    });

    it("starts with the examples of its README, without a warning; the Chinese one has the same", async () => {
      const examples = await readExamples(name, "README.md");
      assert.ok(examples.length > 0);
      for (const config of examples) {
        assert.deepEqual(complaintsOf(config), [], JSON.stringify(config));
        assert.deepEqual(checkSchema(schema, config), [], JSON.stringify(config));
      }
      assert.deepEqual(await readExamples(name, "README_ZH.md"), examples);
    });

    it("has a schema that allows what starts", async () => {
      const configurations = await readConfigurations(name);
      const wrong = configurations.filter(({ config, starts }) => {
        const isStrict = (config as Json).strict === true;
        return (
          starts && !isStrict && complaintsOf(config).length === 0 && checkSchema(schema, config).length > 0
        );
      });
      assert.deepEqual(wrong, []);
    });

    it("has a schema that refuses what does not start", async () => {
      const failing = (await readConfigurations(name)).filter(({ starts }) => !starts);
      const refused = failing.filter(({ config }) => checkSchema(schema, config).length > 0);
      assert.ok(refused.length > 0);
      if (exact.includes(name)) assert.deepEqual(refused, failing);
    });

    it("has a spec for Higress' console that agrees with its schema", async () => {
      const { apiVersion, info, spec } = load(await read(name, "spec.yaml")) as Spec;
      assert.equal(apiVersion, "1.0.0");
      assert.equal(info.name, name);
      for (const key of ["title", "description"])
        assert.ok(info[key] && (info[`x-${key}-i18n`] as Json)["zh-CN"], key);
      assert.ok(typeof spec.phase === "string" && Number.isInteger(spec.priority));
      const { properties, example } = spec.configSchema.openAPIV3Schema;
      const known = Object.keys(schema.properties as Json);
      assert.deepEqual(
        Object.keys(properties).filter((key) => !known.includes(key)),
        [],
      );
      assert.deepEqual(checkSchema(schema, example), []);
      assert.deepEqual(complaintsOf(example), []);
      const rule = spec.routeConfigSchema?.openAPIV3Schema.example ?? example;
      const ruled = { ...(example as Json), _rules_: [{ ...(rule as Json), _match_domain_: ["a"] }] };
      assert.deepEqual(checkSchema(schema, ruled), []);
      assert.deepEqual(complaintsOf(ruled), []);
    });
  });
