// What an edit of a plugin costs where several threads serve: tried, started in each, in effect in each; and whether memory
// stays. Needs Node 22.12.
//   node --import tsx bench/worker-edits.ts [edits=2000] [concurrency=2]
// Build before: node scripts/build.mjs
import { emptyConfig } from "../src/gateway/apply-response.ts";
import { silentLog } from "../src/log.ts";
import { createWatchable } from "../src/watchable.ts";
import { freePort } from "../test/peers/ports.ts";
import { pluginResource, receive, slotListener, staticCluster } from "../test/peers/received-config.ts";
import { distribution } from "./distribution.ts";

const workers = "../dist/gateway/workers/gateway-workers.js";
const { startGatewayWorkers }: typeof import("../src/gateway/workers/gateway-workers.ts") = await import(
  workers
);

const [edits = 2000, concurrency = 2] = process.argv.slice(2).map(Number);
const plugin = (body: string) =>
  pluginResource("p", "build/plugins/custom-response.wasm", JSON.stringify({ body }));
const clusters = receive(emptyConfig, "cluster", [staticCluster("up", 1)]);
const listening = receive(clusters, "listener", [slotListener(await freePort(), ["p"])]);
const config = createWatchable(receive(listening, "extensionConfig", [plugin("first")]));
const stop = new AbortController();
const gateway = startGatewayWorkers({ config, log: silentLog, signal: stop.signal, concurrency });
await gateway.settled();

const times: number[] = [];
for (let i = 1; i <= edits; i++) {
  const began = performance.now();
  const wanted = new AbortController();
  const next = receive(config.value!, "extensionConfig", [plugin(`body ${i}`)]);
  await gateway.preparers.extensionConfigs!(next.extensionConfigs.get("p")!, wanted.signal);
  config.set(next);
  wanted.abort();
  await gateway.settled();
  times.push(performance.now() - began);
  if (i % (edits / 4) === 0)
    console.log(`${i} edits: resident ${Math.round(process.memoryUsage.rss() / 2 ** 20)} MiB`);
}
console.log(`ms from an edit to its effect in ${concurrency} threads: ${distribution(times)}`);
stop.abort();
await gateway.closed;
