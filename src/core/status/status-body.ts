import { isDeepStrictEqual } from "node:util";
import type { Condition } from "./conditions.ts";
import type { StatusOfPlugin } from "./plugin-statuses.ts";

/** Where WasmPlugins are, in the API. */
export const wasmPluginApi = { apiVersion: "extensions.higress.io/v1alpha1", kind: "WasmPlugin" } as const;

/** A condition as it stands in an object. */
export interface WrittenCondition extends Condition {
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

/** `status` of a WasmPlugin, as far as core writes it. */
export interface StatusBody {
  readonly conditions: readonly WrittenCondition[];
  readonly gateways?: { readonly total: number; readonly programmed: number };
  readonly module?: { readonly digest: string };
}

/** The status to be written over `before`: a condition whose status stays keeps the time of its last transition. */
export function statusBody(
  { conditions, gateways, digest, server }: StatusOfPlugin,
  before: StatusBody | undefined,
  now: Date,
): StatusBody {
  const observedGeneration = server?.generation ?? 0;
  return {
    conditions: conditions.map((condition) => {
      const known = before?.conditions.find(({ type }) => type === condition.type);
      const lastTransitionTime =
        known?.status === condition.status ? known.lastTransitionTime : `${now.toISOString().slice(0, 19)}Z`;
      return { ...condition, observedGeneration, lastTransitionTime };
    }),
    ...(gateways && { gateways }),
    ...(digest !== undefined && { module: { digest } }),
  };
}

/** Whether there is nothing to write. */
export function isSameStatus(a: StatusBody | undefined, b: StatusBody): boolean {
  return isDeepStrictEqual(a, b);
}

/** What core has written of a status, read from an object; undefined where it is not what core writes. */
export function readStatusBody(status: unknown): StatusBody | undefined {
  const { conditions, gateways, module } = (status ?? {}) as Partial<StatusBody>;
  if (!Array.isArray(conditions)) return undefined;
  const own = (["Accepted", "Resolved", "Programmed"] as const).flatMap((type) => {
    const found = (conditions as WrittenCondition[]).find((other) => other.type === type);
    if (!found) return [];
    const { status: value, reason, message, observedGeneration, lastTransitionTime } = found;
    return [{ type, status: value, reason, message, observedGeneration, lastTransitionTime }];
  });
  return {
    conditions: own,
    ...(gateways && { gateways: { total: gateways.total, programmed: gateways.programmed } }),
    ...(module && { module: { digest: module.digest } }),
  };
}
