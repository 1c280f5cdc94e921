import type { Line } from "./case-file.ts";
import type { Received } from "./case-result.ts";

/** What Envoy adds on the way to an upstream and to a client, and no plugin sees or made. */
const added = new Set([
  "x-forwarded-proto",
  "date",
  "server",
  "x-envoy-internal",
  "x-envoy-expected-rq-timeout-ms",
]);

/** What somebody received, without the lines that the proxy added by itself; `sent` names those that the case sent. */
export function withoutProxyHeaders(received: Received, sent: ReadonlySet<string> = new Set()): Received {
  const keep = ([name]: Line) => sent.has(name) || !added.has(name);
  return { ...received, headers: received.headers.filter(keep) };
}
