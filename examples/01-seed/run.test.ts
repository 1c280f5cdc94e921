import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { dump, load } from "js-yaml";
import { toYaml } from "../../src/cli/translate.ts";
import { getJson } from "../../test/e2e/status.ts";
import { onEachGateway } from "../../test/peers/gateways.ts";
import { httpFiltersOf } from "../../test/peers/http-filters.ts";
import { startWasmline } from "../../test/peers/program.ts";
import { get } from "../../test/peers/request.ts";
import { type SeedSystem, startSeed } from "../../test/peers/seed-system.ts";
import { convertedCustomResponse, httpFilters, outcomes } from "./chapter.ts";

interface Converted {
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly spec: object;
}

onEachGateway((gateway) => {
  let system: SeedSystem;

  before(async () => {
    system = await startSeed(gateway);
  });
  after(() => system.close());

  for (const { rule, host, header, value, body } of outcomes) {
    test(`${host} gets ${rule}`, async () => {
      const answer = await get(system.trafficPort, "/", host);
      assert.deepEqual([answer.status, answer.headers[header], answer.body], [200, value, body]);
      const keys = Object.keys(answer.headers).filter((name) => name.startsWith("key"));
      assert.deepEqual(keys, [header]);
    });
  }

  test("core shows custom-response converted as in the chapter, to the byte", async () => {
    const configs = await getJson<Converted[]>(8888 + system.offset, "/debug/configz");
    const plugin = configs.find(
      ({ kind, metadata }) => kind === "WasmPlugin" && metadata.name === "custom-response",
    );
    // The chapter shows it after a tool that sorts keys.
    const spec = load(dump(plugin?.spec, { sortKeys: true }));
    assert.equal(toYaml({ ...plugin, spec }), convertedCustomResponse);
  });

  test("translate prints custom-response converted as in the chapter, to the byte", async () => {
    const run = startWasmline(["translate", "-f", system.dir, "--to", "istio"]);
    assert.equal(await run.ended, 0);
    assert.equal(run.stderr(), "");
    assert.equal(customResponseIn(run.stdout()), convertedCustomResponse);
  });

  test("only a plugin that says FAIL_OPEN lets requests pass while it is not loaded", async () => {
    const slots = (await httpFiltersOf(system.adminPort)).filter(({ config_discovery }) => config_discovery);
    const defaults = slots.map(({ name, config_discovery }) => [
      name,
      config_discovery?.default_config?.["@type"],
    ]);
    assert.deepEqual(defaults, [
      ["higress-system.custom-response", undefined],
      ["higress-system.wasm-transformer", undefined],
      ["higress-system.wasm-keyauth", undefined],
      [
        "higress-system.easy-logger",
        "type.googleapis.com/envoy.extensions.filters.http.composite.v3.Composite",
      ],
    ]);
  });

  test("with --ecds-default=always the gateway's filters are those of the chapter", async () => {
    const always = await startSeed(gateway, "--ecds-default=always");
    try {
      assert.deepEqual(await httpFiltersOf(always.adminPort), load(httpFilters));
    } finally {
      await always.close();
    }
  });
});

/** The item of a YAML list that is the WasmPlugin custom-response, without the list's indentation. */
function customResponseIn(list: string): string | undefined {
  const items = list.split(/^- /m).map((item) => item.replace(/^ {2}/gm, ""));
  return items.find((item) => /^kind: WasmPlugin$[\s\S]*^ {2}name: custom-response$/m.test(item));
}
