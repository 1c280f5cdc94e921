import { rm } from "node:fs/promises";
import { join } from "node:path";
import type { GatewayKind } from "../peers/gateways.ts";
import { type LongUpstream, startLongUpstream } from "../peers/long-upstream.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";

/** The chapter's system without the plugin that answers itself, before an upstream that shows which plugins a request met. */
export interface ChainSystem {
  readonly files: SeedFiles;
  readonly upstream: LongUpstream;
  readonly up: Program;
  close(): Promise<void>;
}

/** Starts it with a gateway and more flags for `wasmline up`. */
export async function startChainSystem(
  gateway: GatewayKind,
  ...flags: readonly string[]
): Promise<ChainSystem> {
  const files = await layOutSeed(gateway);
  const upstream = await startLongUpstream();
  await files.edit("services.yaml", (text) =>
    // Of an EndpointSlice; the port of a Service is deeper.
    text.replace(/^ {4}port: \d+$/gm, `    port: ${upstream.port}`),
  );
  await rm(join(files.dir, "custom-response.yaml"));
  // A line for each request of a load would be a load of its own.
  await files.edit("chain.yaml", (text) => text.replace("fields: [", "sampling: 0\n    fields: ["));
  const up = startWasmline(["up", "-f", files.dir, ...files.flags, ...flags]);
  await up.waitFor("stdout", /^ready .* 3 plugins in effect$/m);
  return {
    files,
    upstream,
    up,
    async close() {
      await up.stop();
      upstream.close();
      await files.close();
    },
  };
}
