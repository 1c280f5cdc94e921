import { create } from "@bufbuild/protobuf";
import {
  type HeaderMatcher,
  HeaderMatcherSchema,
  type QueryParameterMatcher,
  QueryParameterMatcherSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { type StringMatcher, StringMatcherSchema } from "../gen/envoy/type/matcher/v3/string_pb.ts";
import type { StringMatch } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";

/** A header as Istio matches it: without a value it only has to be there. */
export function headerMatcher(name: string, match: StringMatch, invert = false): HeaderMatcher {
  const matcher = stringMatcher(match);
  return create(HeaderMatcherSchema, {
    name,
    invertMatch: invert,
    headerMatchSpecifier: matcher
      ? { case: "stringMatch", value: matcher }
      : { case: "presentMatch", value: true },
  });
}

/** A query parameter as Istio matches it. */
export function queryMatcher(name: string, match: StringMatch): QueryParameterMatcher {
  const matcher = stringMatcher(match);
  return create(QueryParameterMatcherSchema, {
    name,
    queryParameterMatchSpecifier: matcher
      ? { case: "stringMatch", value: matcher }
      : { case: "presentMatch", value: true },
  });
}

function stringMatcher({ matchType }: StringMatch): StringMatcher | undefined {
  if (matchType.case === undefined) return undefined;
  const { case: kind, value } = matchType;
  return create(StringMatcherSchema, {
    matchPattern: kind === "regex" ? { case: "safeRegex", value: { regex: value } } : { case: kind, value },
  });
}
