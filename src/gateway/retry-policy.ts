import type { RetryPolicy as RetryPolicyMessage } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { durationMs } from "./duration.ts";
import { compileHeaderMatcher } from "./header-match.ts";
import { refuse, withinEach } from "./refused-config.ts";
import type { RetryPolicy } from "./route-table.ts";

/** Compiles Envoy's RetryPolicy, with Envoy's defaults. */
export function compileRetryPolicy(policy: RetryPolicyMessage | undefined): RetryPolicy | undefined {
  if (!policy) return undefined;
  const tests = withinEach("retriable_headers", policy.retriableHeaders, compileHeaderMatcher);
  const ofRequest = withinEach(
    "retriable_request_headers",
    policy.retriableRequestHeaders,
    compileHeaderMatcher,
  );
  const base = Math.max(1, durationMs(policy.retryBackOff?.baseInterval, 25));
  const max = durationMs(policy.retryBackOff?.maxInterval, base * 10);
  if (policy.retryBackOff && max < base) {
    refuse("retry_back_off.max_interval", "must be greater than or equal to the base_interval");
  }
  return {
    on: new Set(conditionsOf(policy.retryOn)),
    statusCodes: new Set(policy.retriableStatusCodes),
    matchesHeaders: (response) => tests.some((test) => test(response)),
    matchesRequest: (request) => ofRequest.length === 0 || ofRequest.some((test) => test(request)),
    retries: policy.numRetries ?? 1,
    perTryTimeoutMs: durationMs(policy.perTryTimeout, 0),
    perTryIdleTimeoutMs: durationMs(policy.perTryIdleTimeout, 0),
    baseIntervalMs: base,
    maxIntervalMs: max,
    hostSelectionAttempts: Number(policy.hostSelectionRetryMaxAttempts) || 1,
    avoidPreviousHosts: policy.retryHostPredicate.some(({ name }) => name.includes("previous_hosts")),
  };
}

function conditionsOf(text: string): string[] {
  return text.split(",").flatMap((each) => each.trim() || []);
}
