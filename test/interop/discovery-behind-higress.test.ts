// Higress' core cannot be built where tests run. A peer that speaks as it was recorded to stands for it.
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { convertFiles } from "../../src/cli/translate.ts";
import { defaultConvertOptions } from "../../src/core/convert-options.ts";
import type { IstioConfigSet } from "../../src/istio/config.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { type RecordedCore, startRecordedCore } from "../peers/recorded-higress-core.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";

onEachGateway((gateway) => {
  let files: SeedFiles;
  let roles: SeparateRoles;
  let core: RecordedCore;
  let discovery: Program;

  async function converted(): Promise<IstioConfigSet> {
    const ports = { gatewayHttpPort: files.trafficPort, gatewayBind: "127.0.0.1" };
    const { config } = await convertFiles([files.dir], { ...defaultConvertOptions, ...ports });
    return config;
  }

  suite("discovery behind Higress' core", () => {
    before(async () => {
      files = await layOutSeed(gateway);
      core = await startRecordedCore(await converted());
      roles = createSeparateRoles(files);
      for (const role of roles.all) if (role !== "core" && role !== "discovery") roles.start(role);
      const mcp = ["--core", `127.0.0.1:${core.port}`, "--mcp", "state-of-the-world"];
      discovery = startWasmline(["discovery", "--port-offset", String(files.offset), ...mcp]);
    });
    after(async () => {
      await roles.close();
      await discovery.stop();
      core.stop();
      await files.close();
    });

    for (const { rule, host, header, value, body } of outcomes)
      test(`${host} gets ${rule}`, async () => {
        const answer = await until("the plugin is in effect", async () => {
          const found = await get(files.trafficPort, "/", host);
          return found.headers[header] === value ? found : undefined;
        });
        assert.deepEqual([answer.status, answer.body], [200, body]);
      });

    test("of a push of everything only what has changed reaches the gateway, and nothing is refused", async () => {
      const states = async () =>
        (await synced()).map(({ extensionconfig_sent, listener_sent }) => ({
          extensionconfig_sent,
          listener_sent,
        }));
      const earlier = await until("the gateway has acknowledged all", async () => {
        const [one] = await synced();
        return one?.extensionconfig_sent === one?.extensionconfig_acked && one ? states() : undefined;
      });
      await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
      core.push(await converted());
      await until(
        "the edit is in effect",
        async () => (await get(files.trafficPort, "/", "other.com")).headers.key1 === "edited",
      );
      const [now] = await states();
      assert.equal(now?.listener_sent, earlier[0]?.listener_sent);
      assert.notEqual(now?.extensionconfig_sent, earlier[0]?.extensionconfig_sent);
      assert.equal(core.refusals(), 0);
    });
  });

  async function synced() {
    const response = await fetch(`http://127.0.0.1:${15014 + files.offset}/debug/syncz`);
    return (await response.json()) as Readonly<Record<string, string>>[];
  }
});
