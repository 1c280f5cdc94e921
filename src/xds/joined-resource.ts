import { encodeFrameOf } from "./encode.ts";
import type { SnapshotResource, XdsResource } from "./snapshot.ts";

/** A resource whose value is in parts, which are copied once. */
export function joinedResource(
  resource: Omit<XdsResource, "value">,
  parts: readonly Uint8Array[],
): SnapshotResource {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const frame = encodeFrameOf(resource, parts);
  return { ...resource, value: frame.subarray(frame.length - size), frame };
}
