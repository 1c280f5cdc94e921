import type { Node } from "../gen/envoy/config/core/v3/base_pb.ts";

const key = "WASMLINE_ECDS_REMOVALS";

/** What a node's metadata has where an agent of ours stands before the gateway: it wants to hear which ECDS resources are gone. */
export const ecdsRemovals = { [key]: true } as const;

/** Whether a client is told that an ECDS resource is gone. Envoy itself must not be, an agent of ours keeps it from it. */
export function asksForEcdsRemovals({ metadata }: Node): boolean {
  return metadata?.[key] === true;
}
