// The embedded gateway with several threads as a program of its own, for bench/workers.ts.
//   node --import tsx bench/run-workers.ts PORT UPSTREAM_PORT CONCURRENCY [MODULE CONFIGURATION]...
// Prints "up" when it serves. Build before: node scripts/build.mjs
import { emptyConfig } from "../src/gateway/apply-response.ts";
import { silentLog } from "../src/log.ts";
import { LogLevel } from "../src/proxy-wasm/index.ts";
import { createWatchable } from "../src/watchable.ts";
import { pluginResource, receive, slotListener, staticCluster } from "../test/peers/received-config.ts";

// What users run: built, and not what tsx makes of the source.
const dist = "../dist/gateway";
const { startGateway }: typeof import("../src/gateway/gateway.ts") = await import(`${dist}/gateway.js`);
const { startGatewayWorkers }: typeof import("../src/gateway/workers/gateway-workers.ts") = await import(
  `${dist}/workers/gateway-workers.js`
);

const [port = "", upstreamPort = "", concurrency = "", ...modules] = process.argv.slice(2);
const plugins = [];
for (let i = 0; i + 1 < modules.length; i += 2)
  plugins.push(pluginResource(`plugin-${i / 2}`, modules[i]!, modules[i + 1]!));
const names = plugins.map(({ name }) => name);
const clusters = receive(emptyConfig, "cluster", [staticCluster("up", Number(upstreamPort))]);
const listening = receive(clusters, "listener", [slotListener(Number(port), names)]);
const config = createWatchable(receive(listening, "extensionConfig", plugins));
const options = {
  config,
  log: silentLog,
  signal: new AbortController().signal,
  pluginLogLevel: LogLevel.Critical,
};
const threads = Number(concurrency);
const gateway =
  threads === 1 ? startGateway(options) : startGatewayWorkers({ ...options, concurrency: threads });
await gateway.settled();
console.log("up");
