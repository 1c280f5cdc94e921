import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  RedirectAction_RedirectResponseCode as Code,
  type RedirectAction,
  RedirectActionSchema,
  type RouteActionSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HTTPRedirect, HTTPRoute } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";

const codes: Readonly<Record<number, Code>> = {
  302: Code.FOUND,
  303: Code.SEE_OTHER,
  307: Code.TEMPORARY_REDIRECT,
  308: Code.PERMANENT_REDIRECT,
};

/** A redirect; 301 unless another code is given. */
export function redirectAction(redirect: HTTPRedirect): RedirectAction {
  const { uri, authority, port, scheme, redirectCode, prefixRewrite } = redirect;
  return create(RedirectActionSchema, {
    hostRedirect: authority,
    portRedirect: port,
    schemeRewriteSpecifier: scheme ? { case: "schemeRedirect", value: scheme } : undefined,
    pathRewriteSpecifier: prefixRewrite
      ? { case: "prefixRewrite", value: prefixRewrite }
      : uri
        ? { case: "pathRedirect", value: uri }
        : undefined,
    responseCode: codes[redirectCode] ?? Code.MOVED_PERMANENTLY,
  });
}

/** What a route changes of the request's path and host. */
export function rewriteOf({
  rewrite,
}: HTTPRoute): Pick<
  MessageInitShape<typeof RouteActionSchema>,
  "prefixRewrite" | "regexRewrite" | "hostRewriteSpecifier"
> {
  if (!rewrite) return {};
  const { uri, authority, uriRegexRewrite } = rewrite;
  return {
    ...(uriRegexRewrite
      ? { regexRewrite: { pattern: { regex: uriRegexRewrite.match }, substitution: uriRegexRewrite.rewrite } }
      : { prefixRewrite: uri }),
    ...(authority ? { hostRewriteSpecifier: { case: "hostRewriteLiteral", value: authority } } : {}),
  };
}
