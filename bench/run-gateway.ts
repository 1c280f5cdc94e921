// The embedded gateway as a process of its own, for bench/gateway.ts, which compiles it (bench/tsconfig.json) and runs
//   node build/bench/bench/run-gateway.js UPSTREAM_PORT [MODULE CONFIGURATION]...
// Prints its port. With PLUGIN_LOG=info it takes what plugins say at that level, and drops it.
import { startGateway } from "../src/gateway/gateway.ts";
import { silentLog } from "../src/log.ts";
import { LogLevel } from "../src/proxy-wasm/index.ts";
import { createWatchable } from "../src/watchable.ts";
import { cluster, gatewayConfig, wasmFilter } from "../test/peers/gateway-config.ts";

const [upstreamPort, ...modules] = process.argv.slice(2);
const filters = [];
for (let i = 0; i + 1 < modules.length; i += 2) {
  const config = wasmFilter(`plugin-${i / 2}`, modules[i]!, { configuration: modules[i + 1]! });
  filters.push({ kind: "inline", name: config.name, config, disabled: false } as const);
}
const ended = new AbortController();
const config = gatewayConfig({ clusters: [cluster("up", [Number(upstreamPort)])], filters });
const gateway = startGateway({
  config: createWatchable(config),
  log: silentLog,
  signal: ended.signal,
  pluginLogLevel: process.env.PLUGIN_LOG === "info" ? LogLevel.Info : LogLevel.Critical,
});
process.once("SIGTERM", () => {
  ended.abort();
  void gateway.closed.then(() => process.exit());
});
await gateway.settled();
console.log(gateway.listeners.get("test")?.port);
