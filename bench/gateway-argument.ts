import type { GatewayKind } from "../test/peers/gateways.ts";

/** What follows `--gateway` on the command line: an Envoy, unless it is the embedded one. */
export function gatewayArgument(): GatewayKind {
  const at = process.argv.indexOf("--gateway");
  return at > 0 && process.argv[at + 1] === "embedded" ? "embedded" : "envoy";
}
