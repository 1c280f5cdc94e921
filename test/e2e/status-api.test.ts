import assert from "node:assert/strict";
import { test } from "node:test";
import { startSeed } from "../peers/seed-system.ts";
import { until } from "../peers/until.ts";
import { getJson } from "./status.ts";

interface Status {
  readonly plugins: readonly {
    readonly name: string;
    readonly state: string;
    readonly conditions: readonly {
      readonly type: string;
      readonly status: string;
      readonly message: string;
    }[];
    readonly gateways?: { readonly total: number; readonly programmed: number };
    readonly module?: string;
  }[];
}

test("/api/status of files: what became of each plugin, here and at the gateway", async (t) => {
  const system = await startSeed("embedded");
  t.after(() => system.close());
  const pluginNamed = async (name: string) => {
    const { plugins } = await getJson<Status>(8888 + system.offset, "/api/status");
    return plugins.find((plugin) => plugin.name === name);
  };
  const conditionsOf = async (name: string) =>
    (await pluginNamed(name))?.conditions.map(
      ({ type, status, message }) => `${type}=${status} ${message}`,
    ) ?? [];

  await until("it is in effect", async () =>
    (await conditionsOf("custom-response")).includes("Programmed=True 1 of 1 gateway runs it"),
  );
  const { state, gateways, module } = (await pluginNamed("custom-response"))!;
  assert.deepEqual([state, gateways], ["accepted", { total: 1, programmed: 1 }]);
  assert.match(module!, /^sha256:[0-9a-f]{64}$/);

  await system.edit("custom-response.yaml", (text) => text.replace("key1=value1", "no pair"));
  await until("the refusal is told", async () =>
    (await conditionsOf("custom-response")).some((text) =>
      /^Programmed=False 0 of 1 gateway runs it; .*no pair/.test(text),
    ),
  );
  await system.edit("custom-response.yaml", (text) =>
    text.replace("- foo.com", "").replace("- domain:", "- domain: []"),
  );
  await until("the error is told", async () => {
    const conditions = await conditionsOf("custom-response");
    return (
      /^Accepted=False .*spec\.matchRules\[0\]: rule has no domain/.test(conditions[0] ?? "") &&
      /^Programmed=False .*they stay with the last good one$/.test(conditions[2] ?? "")
    );
  });
});
