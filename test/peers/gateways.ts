import { suite } from "node:test";
import { requirePeers } from "./peers.ts";

/** The gateways that `wasmline up --gateway` has: what is not about one of them alone is tested with each. */
export const gateways = ["embedded", "envoy"] as const;
export type GatewayKind = (typeof gateways)[number];

/** Registers the same tests for each gateway, one after the other. */
export function onEachGateway(tests: (gateway: GatewayKind) => void): void {
  for (const gateway of gateways) suite(`gateway: ${gateway}`, () => tests(gateway));
}

/** What `up` needs to run a gateway, in one thread unless the environment says another number. */
export async function gatewayFlags(gateway: GatewayKind): Promise<readonly string[]> {
  const flags = ["--gateway", gateway, "--concurrency", process.env.WASMLINE_CONCURRENCY ?? "1"];
  return gateway === "envoy" ? [...flags, "--envoy-path", (await requirePeers()).envoy] : flags;
}
