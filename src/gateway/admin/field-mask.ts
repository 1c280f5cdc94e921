import type { DescMessage, JsonObject, JsonValue } from "@bufbuild/protobuf";
import { envoyTypes } from "../../xds/envoy-json.ts";

/**
 * Leaves of a message's JSON (by proto names) only what the paths of a field mask name. `@type` stays; a path goes on
 * within an `Any`. Undefined where a path names no field.
 */
export function applyMask(
  value: JsonObject,
  desc: DescMessage,
  paths: readonly string[],
): JsonObject | undefined {
  const wanted = new Map<string, string[]>();
  for (const path of paths) {
    const [head = "", ...rest] = path.trim().split(".");
    wanted.set(head, [...(wanted.get(head) ?? []), ...(rest.length > 0 ? [rest.join(".")] : [])]);
  }
  const masked: JsonObject = "@type" in value ? { "@type": value["@type"]! } : {};
  for (const [name, inner] of wanted) {
    const field = desc.fields.find((each) => each.name === name);
    if (!field) return undefined;
    const own = value[name];
    if (own === undefined) continue;
    const kept =
      inner.length === 0 || field.fieldKind === "scalar" ? own : maskInner(own, field.message, inner);
    if (kept === undefined) return undefined;
    masked[name] = kept;
  }
  return masked;
}

function maskInner(
  value: JsonValue,
  desc: DescMessage | undefined,
  paths: readonly string[],
): JsonValue | undefined {
  // Paths do not lead into lists.
  if (Array.isArray(value)) return undefined;
  if (typeof value !== "object" || value === null) return value;
  const type = value["@type"];
  const own = typeof type === "string" ? envoyTypes.getMessage(type.slice(type.indexOf("/") + 1)) : desc;
  return own ? applyMask(value, own, paths) : value;
}
