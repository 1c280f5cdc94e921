import assert from "node:assert/strict";
import { Agent } from "node:http";
import { after, before, suite, test } from "node:test";
import { openStream, openWebSocket } from "../peers/long-upstream.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";
import { type ChainSystem, startChainSystem } from "./chain-system.ts";
import { downstream, startLoad } from "./load.ts";
import { createRandomChain } from "./random-chain.ts";
import { getJson, listenerChanges } from "./status.ts";

const changes = 200;
/** The shapes in which a gateway closes no connection when its chain changes. */
const cases = [
  { gateway: "embedded", chain: "listener" },
  { gateway: "embedded", chain: "dynamic" },
  { gateway: "envoy", chain: "dynamic" },
] as const;
let system: ChainSystem;

for (const { gateway, chain: shape } of cases)
  suite(`gateway: ${gateway}, --chain=${shape}`, () => {
    before(async () => {
      system = await startChainSystem(gateway, "--chain", shape);
    });
    after(() => system.close());

    test(`${changes} changes of the chain under load: each takes effect, no request fails, no connection is closed`, async (t) => {
      const { files, upstream } = system;
      const { trafficPort, adminPort } = files;
      const before = [await listeners(), await listenerChanges(adminPort)];
      const own = new Agent({ keepAlive: true, maxSockets: 1 });
      const stream = await openStream(trafficPort, "other.com");
      const socket = await openWebSocket(trafficPort, "other.com");
      await stream.receives("begin;");
      const load = await startLoad(files, "other.com", 2);
      const seed = 20_251_123;
      const chain = createRandomChain(files.dir, seed);
      const took: number[] = [];
      for (let index = 1; index <= changes; index++) {
        const { kind, savedAt, before: old, after: expected } = await chain.next();
        await until(`change ${index} (${kind}, seed ${seed}) to ${expected}`, async () => {
          const { status, headers } = await get(trafficPort, "/", "other.com", own);
          const trail = String(headers["x-trail"]);
          assert.equal(status, 200);
          // In chains by phase a plugin that goes to another one is in both for a moment, and never in none.
          if (kind === "move" && shape === "dynamic")
            assert(includesAll(trail, expected), `${trail} after ${old} before ${expected}`);
          else assert([old, expected].includes(trail), `${trail} after ${old} before ${expected}`);
          return trail === expected;
        });
        took.push(performance.now() - savedAt);
        socket.send(`message ${index};`);
        upstream.tick(`tick ${index};`);
        await Promise.all([socket.receives(`message ${index};`), stream.receives(`tick ${index};`)]);
      }
      const connections = await downstream(adminPort, trafficPort);
      const report = await load.finish();
      took.sort((a, b) => a - b);
      t.diagnostic(`median time to effect ${took[changes / 2]!.toFixed(1)} ms, ${report.requests} requests`);

      assert.deepEqual(report.failures, []);
      assert(report.requests > changes, `only ${report.requests} requests`);
      const { total, destroyed, active } = load.connections;
      assert.deepEqual(connections, { total: total + 1, destroyed, active: active + 1 });
      assert.deepEqual([stream.isOpen(), socket.isOpen()], [true, true]);
      if (shape === "dynamic")
        assert.deepEqual([await listeners(), await listenerChanges(adminPort)], before);
      for (const connection of [stream, socket]) connection.close();
      own.destroy();
    });
  });

/** The listeners as the gateway has them, with their versions. */
async function listeners(): Promise<unknown> {
  const { configs } = await getJson<{ configs: { active_state: { version_info: string } }[] }>(
    system.files.adminPort,
    "/config_dump?resource=dynamic_listeners",
  );
  assert(configs.length > 0 && configs.every((one) => one.active_state.version_info !== ""));
  return configs;
}

function includesAll(trail: string, expected: string): boolean {
  const seen = new Set(trail.split(", "));
  return expected.split(", ").every((name) => seen.has(name));
}
