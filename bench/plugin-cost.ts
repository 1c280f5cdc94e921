import { readFile } from "node:fs/promises";
import { createLocalOutside, createPluginHost, LogLevel } from "../src/proxy-wasm/index.ts";
import { leastCost, runStreams } from "./sample-streams.ts";

/** What one plugin costs in the gateway's host. */
export interface PluginCost {
  /** CPU of a stream, without what a stream costs that has no plugin. */
  readonly nsPerStream: number;
  /** Memory of the VM after all streams. */
  readonly memoryBytes: number;
  readonly moduleBytes: number;
}

/** A module and how it is configured. */
export interface MeasuredModule {
  readonly file: string;
  readonly configuration: string;
  /** Called often enough before measuring, V8 has made its functions fast: Go's are many. */
  readonly warmStreams: number;
}

/** Runs streams with 12 request and 5 response headers through a module; lines that it logs at level info are taken and dropped. */
export async function measureModule(
  { file, configuration, warmStreams }: MeasuredModule,
  rounds: number,
): Promise<PluginCost> {
  const host = createPluginHost(createLocalOutside({ log() {}, logLevel: LogLevel.Info }));
  const bytes = await readFile(file);
  const module = await host.compile(bytes, file);
  const plugin = host.start({ name: "bench", module, configuration });
  if (plugin.status().state !== "running")
    throw new Error(`${file} does not run: ${JSON.stringify(plugin.status())}`);
  const perRound = 5000;
  runStreams([], 20_000);
  const empty = leastCost([], rounds, 20_000);
  runStreams([plugin], warmStreams);
  const nsPerStream = leastCost([plugin], rounds, perRound) - empty;
  return { nsPerStream, memoryBytes: plugin.status().memoryBytes, moduleBytes: bytes.length };
}
