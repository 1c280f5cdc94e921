import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { isGrpc } from "./route-match.ts";

/** HTTP's statuses for gRPC's from 0 to 16, as Envoy has them. */
const httpStatuses = [200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
const unknown = 500;

/**
 * How a request went, for those who watch its endpoint: a status of HTTP, of gRPC requests that of the gRPC status. Undefined
 * where these headers do not say it. `status` is undefined for trailers.
 */
export function statusOfOutcome(
  request: HeaderMap,
  status: number | undefined,
  headers: HeaderMap,
): number | undefined {
  if (!isGrpc(request)) return status;
  const grpcStatus = headers.get("grpc-status");
  if (grpcStatus !== undefined) return httpStatuses[Number(grpcStatus)] ?? unknown;
  return status === undefined || status === 200 ? undefined : status;
}
