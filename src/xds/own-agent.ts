import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";

const key = "WASMLINE_ECDS_REMOVALS";

/**
 * What a node's metadata has where an agent of ours stands before the gateway. It wants to hear which ECDS resources are
 * gone, hands all of them on in the order that they came in, and pulls modules that are within a filter chain.
 */
export const ownAgent = { [key]: true } as const;

/**
 * Whether an agent of ours stands before a client. Envoy itself must not be told that an ECDS resource is gone. Istio's
 * agent converts each response on its own: one whose modules take longer to pull is overtaken by a later one.
 */
export function isBehindOwnAgent({ metadata }: Node): boolean {
  return metadata?.[key] === true;
}
