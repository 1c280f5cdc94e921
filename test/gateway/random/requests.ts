import { fc } from "../../peers/properties.ts";
import type { TestRequest } from "../../peers/twins/ask.ts";
import type { UpstreamAnswer } from "../../peers/twins/noting-upstream.ts";
import { paths, pick, values } from "./values.ts";

const hosts = [
  ..."a.com b.com x.a.com y.x.a.com foo-a.com x.foo-a.com A.Com X.A.com [::1] [::1]:80 a.com:8080 b.com:8080".split(
    " ",
  ),
  ..."x.a.com:443 a.com:80 c .a.com x. x.y x.a.com. a.com:".split(" "),
];
const queries = ["", "", "", ..."?q=1 ?q=1&q=2 ?q ?q= ?x=1&q=a%20b ? ?q=1?z ?Q=1 ?a=b=c&q=12".split(" ")];

/** Headers that gateways read, or make. */
const special: readonly (readonly [string, string])[] = [
  ["x-forwarded-proto", "https"],
  ["x-forwarded-proto", "http"],
  ["x-forwarded-for", "1.2.3.4"],
  ["x-forwarded-for", "1.2.3.4, 10.0.0.1"],
  ["content-type", "application/grpc"],
  ["content-type", "application/grpc+proto"],
  ["content-type", "application/grpc-web"],
  ["content-type", "application/grpc;x=1"],
  ["x-request-id", "own"],
  ["x-envoy-upstream-rq-timeout-ms", "1234"],
  ["x-envoy-upstream-rq-timeout-ms", "many"],
  ["x-envoy-upstream-rq-per-try-timeout-ms", "1000"],
  ["x-envoy-expected-rq-timeout-ms", "77"],
  ["x-envoy-retry-on", "5xx"],
  ["x-envoy-max-retries", "2"],
  ["x-envoy-original-path", "/before"],
  ["x-envoy-internal", "true"],
  ["x-envoy-external-address", "9.9.9.9"],
  ["x-envoy-attempt-count", "9"],
  ["x-envoy-decorator-operation", "op"],
  ["x-forwarded-host", "front.org"],
  ["via", "1.1 front"],
  ["te", "trailers, deflate"],
  ["te", "deflate"],
  ["proxy-connection", "keep-alive"],
  ["cookie", "a=1"],
  ["accept", "*/*"],
];

/** A request that routes may match. */
export const request: fc.Arbitrary<TestRequest> = fc
  .tuple(
    pick(["GET", "GET", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH"]),
    pick(hosts),
    pick([...paths, "/a/../b", "/a/./b", "//a", "/%61", "/a%2fb%5Cc"]),
    pick(queries),
    fc.array(fc.tuple(pick(["x-a", "x-b", "X-B"]), pick(values)), { maxLength: 3 }),
    fc.subarray([...special], { maxLength: 3 }),
    pick([[], [], ["body"], ["two ", "parts"]]),
    pick(["none", "none", "length", "trailers"]),
    pick(["0", "6", "7", "12", "+9", "18446744073709551615"]),
  )
  .map(([method, host, path, query, headers, more, written, framing, chance]) => {
    const body = method === "HEAD" ? [] : written;
    const length = body.length > 0 && framing === "length";
    return {
      ...{ method, host, path: `${path}${query}` },
      headers: [
        ...headers,
        ...more,
        ["x-w", chance] as const,
        ...(length ? [["content-length", `${body.join("").length}`] as const] : []),
      ],
      body,
      ...(framing === "trailers" && body.length > 0 ? { trailers: [["x-t", "1"] as const] } : {}),
    };
  });

/** What an upstream answers. */
export const upstreamAnswer: fc.Arbitrary<UpstreamAnswer> = fc
  .tuple(
    pick([200, 200, 200, 201, 204, 301, 304, 404, 409, 429, 500, 503, 504, 599]),
    fc.subarray(
      [
        ["x-a", "up"],
        ["X-B", "Up"],
        ["x-b", "again"],
        ["Server", "upstream"],
        ["Date", "Thu, 01 Jan 1970 00:00:00 GMT"],
        ["Via", "1.1 up"],
        ["x-upstream", "yes"],
        ["x-envoy-upstream-service-time", "7"],
        ["x-envoy-overloaded", "true"],
        ["Set-Cookie", "a=1"],
        ["set-cookie", "b=2"],
        ["Content-Type", "text/html"],
        ["x-request-id", "theirs"],
        ["Keep-Alive", "timeout=5"],
        ["Proxy-Connection", "close"],
      ] as (readonly [string, string])[],
      { maxLength: 5 },
    ),
    pick([["upstream"], ["upstream"], ["in ", "parts"], []]),
    pick([[], [], [["x-trailer", "t"]]] as (readonly (readonly [string, string])[])[]),
    pick([undefined, undefined, undefined, undefined, undefined, undefined, "before", "within"] as const),
  )
  .map(([status, headers, body, trailers, cut]) => {
    const isEmpty = status === 204 || status === 304;
    return {
      ...{ status, headers },
      body: isEmpty ? [] : body,
      ...(isEmpty ? {} : { trailers }),
      ...(cut === undefined || isEmpty ? {} : { cut }),
    };
  });
