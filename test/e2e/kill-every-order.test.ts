import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { onEachGateway } from "../peers/gateways.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { type EcdsStatus, getJson } from "./status.ts";

const victims = ["core", "discovery", "agent", "gateway"] as const;
type Victim = (typeof victims)[number];

const plugins = ["custom-response", "easy-logger", "wasm-keyauth", "wasm-transformer"];

let files: SeedFiles;
let roles: SeparateRoles;
let traffic: ReturnType<typeof startTraffic>;

onEachGateway((gateway) => {
  before(async () => {
    files = await layOutSeed(gateway);
    await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
    roles = createSeparateRoles(files);
    for (const role of roles.all) roles.start(role);
    await until("traffic is served", async () => (await answer()) === "value1", 60_000);
    traffic = startTraffic();
  });
  after(async () => {
    await traffic?.stop();
    await roles.close();
    await files.close();
  });

  for (const [index, order] of permutations(victims).entries())
    test(`killed one after the other: ${order.join(", ")}`, async () => {
      const { length: before } = traffic.failures;
      const servedBefore = traffic.served();
      for (const victim of order) await kill(victim);
      await until("all is in effect", allSynced, 60_000);
      const value = `order-${index}`;
      await files.edit("custom-response.yaml", (text) => text.replace(/key1=[\w-]+/, `key1=${value}`));
      await until("an edit is in effect", async () => (await answer()) === value);
      await until("discovery knows", allSynced);
      assert.deepEqual(traffic.failures.slice(before), []);
      assert.ok(traffic.served() > servedBefore);
    });
});

async function answer(): Promise<unknown> {
  return (await get(files.trafficPort, "/", "other.com")).headers.key1;
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item) =>
    permutations(items.filter((other) => other !== item)).map((rest) => [item, ...rest]),
  );
}

function isAlive(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

/** One request after the other. What fails where a gateway lives, or is answered without the plugin, is noted. */
function startTraffic() {
  const failures: string[] = [];
  let stopped = false;
  let served = 0;
  /** The gateway that is being killed: until another one serves, requests may fail. */
  let dying: number | undefined;
  async function run(): Promise<void> {
    while (!stopped) {
      // Another gateway serves when it answers what was begun after this one was gone: an answer to an earlier request may
      // be that of a gateway which is killed by the time somebody reads it.
      const before = dying;
      const isGone = before !== undefined && !isAlive(before);
      try {
        const { status, headers } = await get(files.trafficPort, "/", "other.com");
        served++;
        if (status !== 200 || headers.key1 === undefined)
          failures.push(`${status} ${JSON.stringify(headers)}`);
        if (isGone && dying === before) dying = undefined;
      } catch (error) {
        if (before === undefined && dying === undefined) failures.push(String(error));
      }
      await pause(2);
    }
  }
  const done = run();
  return {
    failures,
    served: () => served,
    expectOutage: (pid: number) => {
      dying = pid;
    },
    async stop() {
      stopped = true;
      await done;
    },
  };
}

/** Kills one hard and starts it again. An Envoy goes with its agent; the embedded gateway goes on without. */
async function kill(victim: Victim): Promise<void> {
  const isOutage = victim === "gateway" || (victim === "agent" && files.gateway === "envoy");
  const pid = isOutage ? await roles.gatewayPid() : undefined;
  if (pid !== undefined) traffic.expectOutage(pid);
  if (victim === "gateway") await roles.killGateway();
  else await roles.stop(victim, "SIGKILL");
  if (pid !== undefined) await until("the gateway is gone", () => !isAlive(pid));
  if (victim !== "gateway") roles.start(victim);
}

async function allSynced(): Promise<boolean> {
  const gateways = await getJson<{ plugins: EcdsStatus[] }[]>(15014 + files.offset, "/debug/ecdsz");
  const states = gateways[0]?.plugins ?? [];
  return (
    gateways.length === 1 &&
    plugins.every((plugin) =>
      states.some(({ name, state }) => name === `higress-system.${plugin}` && state === "SYNCED"),
    )
  );
}
