import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  GatewaySchema,
  ServerTLSSettings_TLSmode as TlsMode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import {
  type HTTPRouteSchema,
  VirtualServiceSchema,
} from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { buildRoutes } from "./route-tables.ts";
import { serversByPort } from "./servers.ts";

type RouteInit = MessageInitShape<typeof HTTPRouteSchema>;

interface RouteTable {
  readonly name: string;
  readonly virtualHosts?: readonly {
    readonly name: string;
    readonly domains: readonly string[];
    readonly requireTls?: string;
    readonly routes: readonly Record<string, unknown>[];
  }[];
}

function makeGateway(
  name: string,
  servers: MessageInitShape<typeof GatewaySchema>["servers"],
): IstioConfig<"Gateway"> {
  return { kind: "Gateway", namespace: "ns", name, spec: create(GatewaySchema, { servers }) };
}

function makeService(
  name: string,
  gateways: string[],
  hosts: string[],
  http: RouteInit[],
): IstioConfig<"VirtualService"> {
  const spec = create(VirtualServiceSchema, { gateways, hosts, http });
  return { kind: "VirtualService", namespace: "ns", name, spec };
}

const port80 = { number: 80, protocol: "HTTP", name: "http" };
const port443 = { number: 443, protocol: "HTTPS", name: "https" };
const to = (host: string, number = 80) => ({
  route: [{ destination: { host, port: { number } } }],
});

function buildTables(gateways: IstioConfig<"Gateway">[], services: IstioConfig<"VirtualService">[]) {
  const ports = serversByPort(gateways, { namespace: "ns", labels: {}, secrets: "none", chain: "listener" });
  return ports
    .flatMap((port) => buildRoutes(port, services))
    .map((table) => resourceJson(table) as unknown as RouteTable);
}

/** The Envoy routes of one HTTP route. */
function buildRoute(route: RouteInit) {
  const gateway = makeGateway("g", [{ port: port80, hosts: ["a.com"] }]);
  const [table] = buildTables([gateway], [makeService("v", ["g"], ["a.com"], [{ name: "ns/r", ...route }])]);
  return table!.virtualHosts![0]!.routes;
}

suite("route tables", () => {
  test("all plain servers of a port share one, each HTTPS server has its own", () => {
    const tls = { mode: TlsMode.SIMPLE, credentialName: "c" };
    const gateways = ["a", "b"].map((name) =>
      makeGateway(name, [
        { port: port80, hosts: [`${name}.com`] },
        { port: port443, hosts: [`${name}.com`], tls },
      ]),
    );
    const services = ["a", "b"].map((name) => makeService(name, [name], [`${name}.com`], [to(name)]));
    assert.deepEqual(
      buildTables(gateways, services).map(({ name, virtualHosts }) => [
        name,
        virtualHosts?.map((host) => host.name),
      ]),
      [
        ["http.80", ["a.com:80", "b.com:80"]],
        ["https.443.https.a.ns", ["a.com:443"]],
        ["https.443.https.b.ns", ["b.com:443"]],
      ],
    );
  });

  test("a host has the routes of the VirtualServices that are bound to its Gateway, one after the other", () => {
    const gateway = makeGateway("g", [{ port: port80, hosts: ["a.com", "other/b.com", "c.com"] }]);
    const services = [
      makeService("one", ["g"], ["a.com"], [to("one")]),
      makeService("two", ["ns/g"], ["a.com", "b.com"], [to("two")]),
      makeService("elsewhere", ["other/g"], ["a.com", "c.com"], [to("elsewhere")]),
    ];
    const [table] = buildTables([gateway], services);
    assert.deepEqual(
      table!.virtualHosts!.map(({ domains, routes }) => [
        domains,
        routes.map(({ route }) => (route as { cluster: string }).cluster),
      ]),
      [
        [["a.com"], ["outbound|80||one", "outbound|80||two"]],
        [["b.com"], ["outbound|80||two"]],
      ],
    );
  });

  test("the same host in two Gateways is one virtual host", () => {
    const gateways = ["a", "b"].map((name) => makeGateway(name, [{ port: port80, hosts: ["a.com"] }]));
    const services = ["a", "b"].map((name) => makeService(name, [name], ["a.com"], [to(name)]));
    const [table] = buildTables(gateways, services);
    assert.deepEqual(
      table!.virtualHosts!.map(({ name, routes }) => [name, routes.length]),
      [["a.com:80", 2]],
    );
  });

  test("httpsRedirect makes a host answer only with redirects", () => {
    const gateways = [
      makeGateway("a", [{ port: port80, hosts: ["a.com"], tls: { httpsRedirect: true } }]),
      makeGateway("b", [{ port: port80, hosts: ["b.com"] }]),
    ];
    const services = ["a", "b"].map((name) => makeService(name, [name], [`${name}.com`], [to(name)]));
    const [table] = buildTables(gateways, services);
    assert.deepEqual(
      table!.virtualHosts!.map(({ requireTls }) => requireTls),
      ["ALL", undefined],
    );
  });
});

suite("a route", () => {
  test("has the name that plugins' _match_route_ sees, and a match's own behind it", () => {
    const uri = { matchType: { case: "prefix", value: "/a" } } as const;
    const routes = buildRoute({ ...to("h"), match: [{ uri }, { uri, name: "second" }] });
    assert.deepEqual(
      routes.map(({ name }) => name),
      ["ns/r", "ns/r.second"],
    );
  });

  test("leads to its destination, without a time limit and with Istio's retries", () => {
    assert.deepEqual(buildRoute(to("h.ns", 8080)), [
      {
        name: "ns/r",
        match: { prefix: "/", caseSensitive: true },
        route: {
          cluster: "outbound|8080||h.ns",
          timeout: "0s",
          retryPolicy: {
            retryOn: "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes",
            numRetries: 2,
            hostSelectionRetryMaxAttempts: "5",
          },
        },
      },
    ]);
  });

  test("to several destinations is divided by their weights", () => {
    const [route] = buildRoute({
      route: [
        { destination: { host: "a", port: { number: 80 } }, weight: 90 },
        { destination: { host: "b", port: { number: 80 }, subset: "v2" }, weight: 10 },
      ],
    });
    assert.deepEqual((route!.route as { weightedClusters: unknown }).weightedClusters, {
      clusters: [
        { name: "outbound|80||a", weight: 90 },
        { name: "outbound|80|v2|b", weight: 10 },
      ],
    });
  });

  test("matches paths, methods, headers and query parameters", () => {
    const exact = (value: string) => ({ matchType: { case: "exact", value } }) as const;
    const match = {
      uri: exact("/a"),
      ignoreUriCase: true,
      method: exact("GET"),
      headers: { "x-a": { matchType: { case: "regex", value: "b+" } } as const, "x-there": {} },
      withoutHeaders: { "x-not": {} },
      queryParams: { q: { matchType: { case: "prefix", value: "p" } } as const },
    };
    assert.deepEqual(buildRoute({ ...to("h"), match: [match] })[0]?.match, {
      path: "/a",
      caseSensitive: false,
      headers: [
        { name: "x-a", stringMatch: { safeRegex: { regex: "b+" } } },
        { name: "x-there", presentMatch: true },
        { name: ":method", stringMatch: { exact: "GET" } },
        { name: "x-not", presentMatch: true, invertMatch: true },
      ],
      queryParameters: [{ name: "q", stringMatch: { prefix: "p" } }],
    });
  });

  test("redirects", () => {
    const redirectOf = (redirect: RouteInit["redirect"]) => buildRoute({ redirect })[0]?.redirect;
    assert.deepEqual(redirectOf({ uri: "/b" }), { pathRedirect: "/b" });
    assert.deepEqual(redirectOf({ scheme: "https", redirectCode: 308 }), {
      schemeRedirect: "https",
      responseCode: "PERMANENT_REDIRECT",
    });
    assert.deepEqual(redirectOf({ authority: "b.com", port: 8443, prefixRewrite: "/x", redirectCode: 302 }), {
      hostRedirect: "b.com",
      portRedirect: 8443,
      prefixRewrite: "/x",
      responseCode: "FOUND",
    });
  });

  test("answers by itself", () => {
    const body = { specifier: { case: "string", value: "gone" } } as const;
    assert.deepEqual(buildRoute({ directResponse: { status: 410, body } })[0]?.directResponse, {
      status: 410,
      body: { inlineString: "gone" },
    });
  });

  test("rewrites, changes headers and sets times as its VirtualService says", () => {
    const [route] = buildRoute({
      ...to("h"),
      rewrite: { uri: "/new", authority: "new.com" },
      timeout: { seconds: 3n },
      retries: { attempts: 0 },
      headers: { request: { set: { a: "1" }, add: { b: "2" }, remove: ["c"] }, response: { remove: ["d"] } },
    });
    const { cluster, ...action } = route!.route as Record<string, unknown>;
    assert.equal(cluster, "outbound|80||h");
    assert.deepEqual(action, { prefixRewrite: "/new", hostRewriteLiteral: "new.com", timeout: "3s" });
    assert.deepEqual(route?.requestHeadersToAdd, [
      { header: { key: "a", value: "1" }, appendAction: "OVERWRITE_IF_EXISTS_OR_ADD" },
      { header: { key: "b", value: "2" } },
    ]);
    assert.deepEqual([route?.requestHeadersToRemove, route?.responseHeadersToRemove], [["c"], ["d"]]);
  });
});
