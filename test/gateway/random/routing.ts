import type { JsonObject } from "@bufbuild/protobuf";
import { fc } from "../../peers/properties.ts";
import type { TestRequest } from "../../peers/twins/ask.ts";
import type { UpstreamAnswer } from "../../peers/twins/noting-upstream.ts";
import { direct, forward, redirect } from "./actions.ts";
import { connectionOptions } from "./connection.ts";
import { headerEdits } from "./header-edits.ts";
import { routeMatch } from "./matchers.ts";
import { request, upstreamAnswer } from "./requests.ts";
import { pick } from "./values.ts";

/** A connection manager with routes, and requests that its parts may match. */
export interface RoutingCase {
  readonly connection: JsonObject;
  readonly requests: readonly RoutedRequest[];
}

export interface RoutedRequest {
  readonly request: TestRequest;
  /** What the upstream answers, if it is asked. */
  readonly answer: UpstreamAnswer;
}

const domains = [
  ..."a.com b.com x.a.com *.a.com *-a.com *a.com *.com x.* x.a.* a.* a* * b.com:8080 *:8080 [::1]".split(" "),
  ..."*.x.a.com B.ORG y.X.a.com c".split(" "),
];

const route = fc
  .tuple(
    routeMatch,
    fc.oneof(
      { weight: 3, arbitrary: direct },
      { weight: 2, arbitrary: redirect },
      { weight: 6, arbitrary: forward },
    ),
    headerEdits,
    pick([{}, { name: "named" }]),
  )
  .map(([match, action, headers, name]) => ({ match, ...action, ...headers, ...name }));

const virtualHost = fc.tuple(
  fc.subarray(domains, { minLength: 1, maxLength: 5 }),
  fc.array(route, { minLength: 2, maxLength: 8 }),
  pick(["NONE", "NONE", "NONE", "ALL", "EXTERNAL_ONLY"]),
  headerEdits,
  pick([{}, {}, { include_request_attempt_count: true }, { include_attempt_count_in_response: true }]),
);

/** Connection managers with `requests` requests each, the same for the same seed. */
export function randomRouting(seed: number, tables: number, requests: number): RoutingCase[] {
  const routed = fc.record({ request, answer: upstreamAnswer });
  const routingCase = fc
    .tuple(
      fc.array(virtualHost, { minLength: 1, maxLength: 4 }),
      fc.tuple(fc.boolean(), fc.boolean(), fc.boolean()),
      headerEdits,
      connectionOptions,
      fc.array(routed, { minLength: requests, maxLength: requests }),
    )
    .map(([hostParts, [ignorePort, mostSpecificWins, dropParameters], headers, options, asked]) => ({
      connection: {
        ...options,
        route_config: {
          name: "table",
          ignore_port_in_host_matching: ignorePort,
          most_specific_header_mutations_wins: mostSpecificWins,
          ignore_path_parameters_in_path_matching: dropParameters,
          validate_clusters: false,
          ...headers,
          virtual_hosts: virtualHosts(hostParts),
        },
      },
      requests: asked,
    }));
  return fc.sample(routingCase, { seed, numRuns: tables }) as unknown as RoutingCase[];
}

type HostParts = typeof virtualHost extends fc.Arbitrary<infer T> ? T : never;

/** No domain is in two virtual hosts; each direct response without a body says where it stands. */
function virtualHosts(parts: readonly HostParts[]): object[] {
  const used = new Set<string>();
  return parts.flatMap(([wanted, routes, require_tls, headers, more], host) => {
    const own = wanted.filter((domain) => !used.has(domain.toLowerCase()) && used.add(domain.toLowerCase()));
    if (own.length === 0) return [];
    const placed = routes.map((each, index) =>
      "direct_response" in each && each.direct_response.status === 200
        ? { ...each, direct_response: { status: 200, body: { inline_string: `${host}/${index}` } } }
        : each,
    );
    return [{ name: `host-${host}`, domains: own, routes: placed, require_tls, ...headers, ...more }];
  });
}
