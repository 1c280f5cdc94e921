import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { type ClusterUse, maxRetriesOf } from "./circuit-limits.ts";
import type { CircuitLimits } from "./cluster-config.ts";
import type { RetryPolicy } from "./route-table.ts";
import type { UpstreamReset } from "./upstream-stream.ts";

const gatewayErrors: ReadonlySet<number> = new Set([502, 503, 504]);
/** gRPC's statuses that are conditions. */
const grpcConditions: readonly (readonly [string, number])[] = [
  ["cancelled", 1],
  ["deadline-exceeded", 4],
  ["resource-exhausted", 8],
  ["internal", 13],
  ["unavailable", 14],
];

/** Whether a response is one after which the policy tries again, as Envoy's router says. */
export function retriesAfterResponse(policy: RetryPolicy, status: number, headers: HeaderMap): boolean {
  const { on } = policy;
  if (headers.get("x-envoy-ratelimited") !== undefined) return on.has("envoy-ratelimited");
  if (on.has("5xx") && status >= 500 && status < 600) return true;
  if (on.has("gateway-error") && gatewayErrors.has(status)) return true;
  if (on.has("retriable-4xx") && status === 409) return true;
  if (on.has("retriable-status-codes") && policy.statusCodes.has(status)) return true;
  if (on.has("retriable-headers") && policy.matchesHeaders(headers)) return true;
  return retriesGrpc(on, headers.get("grpc-status"));
}

function retriesGrpc(on: ReadonlySet<string>, status: string | undefined): boolean {
  if (status === undefined) return false;
  return grpcConditions.some(([condition, code]) => on.has(condition) && Number(status) === code);
}

/** Whether a reset before any response is one after which the policy tries again. */
export function retriesAfterReset({ on }: RetryPolicy, { reason, beforeSent }: UpstreamReset): boolean {
  if (reason === "overflow") return false;
  if (on.has("5xx") || on.has("gateway-error") || on.has("reset")) return true;
  const isConnectFailure = reason === "remote connection failure" || reason === "connection timeout";
  if (isConnectFailure && on.has("connect-failure")) return true;
  if (reason === "remote refused stream reset" && on.has("refused-stream")) return true;
  return beforeSent && on.has("reset-before-request");
}

/** Whether an attempt that took too long is one after which the policy tries again. */
export function retriesAfterTimeout({ on }: RetryPolicy): boolean {
  return on.has("5xx") || on.has("gateway-error") || on.has("reset");
}

/** What stands in the way of another attempt: `URX` and `UO` are Envoy's flags for it; undefined for nothing. */
export function findRetryLimit(
  policy: RetryPolicy,
  attempts: number,
  limits: CircuitLimits,
  use: ClusterUse,
): "URX" | "UO" | undefined {
  if (attempts > policy.retries) return "URX";
  return use.retries >= maxRetriesOf(limits, use) ? "UO" : undefined;
}

/** How long to wait before the next attempt, in milliseconds: anything up to a limit that doubles. */
export function backOffMs({ baseIntervalMs, maxIntervalMs }: RetryPolicy, attempts: number): number {
  const ceiling = Math.min(baseIntervalMs * 2 ** (attempts - 1), maxIntervalMs);
  return Math.floor(Math.random() * Math.max(1, ceiling));
}
