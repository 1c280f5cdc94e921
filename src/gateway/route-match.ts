import type { RouteMatch } from "../gen/envoy/config/route/v3/route_components_pb.ts";
import {
  FractionalPercent_DenominatorType as Denominator,
  type FractionalPercent,
} from "../gen/envoy/type/v3/percent_pb.ts";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { isGrpcType } from "../proxy-wasm/local-reply.ts";
import { compileHeaderMatcher } from "./header-match.ts";
import { compilePathMatch, type PathMatch } from "./path-match.ts";
import { compileQueryMatcher, readQuery } from "./query-match.ts";
import { refuse, withinEach } from "./refused-config.ts";
import type { RouteRequest } from "./route-table.ts";

/** Whether a request is meant, given its path without the query. */
export interface CompiledMatch {
  readonly path: PathMatch;
  matches(request: RouteRequest, path: string): boolean;
}

/** Compiles Envoy's RouteMatch: everything that it says has to hold. */
export function compileRouteMatch(match: RouteMatch): CompiledMatch {
  if (match.tlsContext) refuse("tls_context", "is not supported");
  if (match.dynamicMetadata.length > 0) refuse("dynamic_metadata", "is not supported");
  const path = compilePathMatch(match);
  const headers = withinEach("headers", match.headers, compileHeaderMatcher);
  const query = withinEach("query_parameters", match.queryParameters, compileQueryMatcher);
  const fraction = match.runtimeFraction?.defaultValue;
  const tests: ((request: RouteRequest) => boolean)[] = [];
  if (fraction) tests.push(({ random }) => isWithin(fraction, random));
  if (match.grpc) tests.push((request) => isGrpc(request.headers));
  for (const test of headers) tests.push((request) => test(request.headers));
  if (query.length > 0) {
    tests.push((request) => {
      const parameters = readQuery(request.headers.get(":path") ?? "");
      return query.every((test) => test(parameters));
    });
  }
  return {
    path,
    matches: (request, text) => path.matches(text) && tests.every((test) => test(request)),
  };
}

const denominators: Readonly<Record<Denominator, number>> = {
  [Denominator.HUNDRED]: 100,
  [Denominator.TEN_THOUSAND]: 10_000,
  [Denominator.MILLION]: 1_000_000,
};

function isWithin({ numerator, denominator }: FractionalPercent, random: number): boolean {
  return random % denominators[denominator] < numerator;
}

export function isGrpc(headers: HeaderMap): boolean {
  return isGrpcType(headers.get("content-type"));
}
