import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  GatewaySchema,
  ServerTLSSettings_TLSmode as TlsMode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { buildListener } from "./listeners.ts";
import { serversByPort } from "./servers.ts";

type Servers = MessageInitShape<typeof GatewaySchema>["servers"];

interface FilterChain {
  readonly filterChainMatch?: { readonly serverNames?: readonly string[] };
  readonly filters: readonly { readonly name: string; readonly typedConfig: Record<string, unknown> }[];
  readonly transportSocket?: { readonly name: string; readonly typedConfig: unknown };
}

interface Listener {
  readonly name: string;
  readonly address: unknown;
  readonly listenerFilters?: readonly { readonly name: string }[];
  readonly filterChains: readonly FilterChain[];
}

function makeGateway(
  name: string,
  servers: Servers,
  selector: Record<string, string> = {},
): IstioConfig<"Gateway"> {
  return { kind: "Gateway", namespace: "ns", name, spec: create(GatewaySchema, { servers, selector }) };
}

function buildListeners(...gateways: IstioConfig<"Gateway">[]): Listener[] {
  const ports = serversByPort(gateways, {
    namespace: "ns",
    labels: { app: "edge" },
    secrets: "none",
    chain: "listener",
  });
  return ports.map((port) => resourceJson(buildListener(port, [])) as unknown as Listener);
}

const http = { number: 80, protocol: "HTTP", name: "http" };
const https = { number: 443, protocol: "HTTPS", name: "https" };
const tls = (credentialName: string) => ({ mode: TlsMode.SIMPLE, credentialName });

suite("a plain port", () => {
  const [listener, ...others] = buildListeners(
    makeGateway("a", [{ port: http, hosts: ["a.com"] }]),
    makeGateway("b", [{ port: http, hosts: ["b.com"], tls: { httpsRedirect: true } }]),
  );

  test("is one listener on all addresses, with one filter chain for all hosts", () => {
    assert.equal(others.length, 0);
    assert.equal(listener!.name, "0.0.0.0_80");
    assert.deepEqual(listener!.address, { socketAddress: { address: "0.0.0.0", portValue: 80 } });
    assert.equal(listener!.filterChains.length, 1);
    assert.equal(listener!.listenerFilters, undefined);
    assert.equal(listener!.filterChains[0]!.transportSocket, undefined);
  });

  test("has its routes from RDS, under Istio's name", () => {
    const [filter] = listener!.filterChains[0]!.filters;
    assert.equal(filter!.name, "envoy.filters.network.http_connection_manager");
    assert.equal(filter!.typedConfig.statPrefix, "outbound_0.0.0.0_80");
    assert.deepEqual(filter!.typedConfig.rds, {
      configSource: { ads: {}, resourceApiVersion: "V3" },
      routeConfigName: "http.80",
    });
  });
});

suite("a port of HTTPS", () => {
  const [listener] = buildListeners(
    makeGateway("a", [
      { port: https, hosts: ["a.com", "ns/b.com"], tls: tls("kubernetes-ingress://c/ns/one") },
    ]),
    makeGateway("all", [{ port: https, hosts: ["*"], tls: tls("kubernetes-ingress://c/ns/two") }]),
  );

  test("has a filter chain for each server, chosen by the name that the client asks for", () => {
    assert.deepEqual(
      listener!.filterChains.map(({ filterChainMatch }) => filterChainMatch?.serverNames),
      [["a.com", "b.com"], undefined],
    );
    assert.deepEqual(
      listener!.listenerFilters?.map(({ name }) => name),
      ["envoy.filters.listener.tls_inspector"],
    );
    assert.deepEqual(
      listener!.filterChains.map(
        ({ filters }) => (filters[0]!.typedConfig.rds as { routeConfigName: string }).routeConfigName,
      ),
      ["https.443.https.a.ns", "https.443.https.all.ns"],
    );
  });

  test("has its certificates from SDS, and offers HTTP/2", () => {
    const { name, typedConfig } = listener!.filterChains[0]!.transportSocket!;
    assert.equal(name, "envoy.transport_sockets.tls");
    assert.deepEqual(typedConfig, {
      "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
      commonTlsContext: {
        alpnProtocols: ["h2", "http/1.1"],
        tlsCertificateSdsSecretConfigs: [
          {
            name: "kubernetes-ingress://c/ns/one",
            sdsConfig: { ads: {}, resourceApiVersion: "V3" },
          },
        ],
      },
    });
  });
});

suite("which servers there are", () => {
  const namesOf = (...gateways: IstioConfig<"Gateway">[]) =>
    buildListeners(...gateways).map(({ name }) => name);

  test("is said by the Gateways that select the gateway", () => {
    const servers = [{ port: http, hosts: ["*"] }];
    assert.deepEqual(namesOf(makeGateway("a", servers, { app: "edge" })), ["0.0.0.0_80"]);
    assert.deepEqual(namesOf(makeGateway("a", servers, { app: "other" })), []);
    assert.deepEqual(namesOf(), []);
  });

  test("is in the order of ports and addresses", () => {
    const servers = [
      { port: https, hosts: ["*"], tls: tls("c") },
      { port: { ...http, number: 8080 }, hosts: ["*"], bind: "127.0.0.2" },
      { port: { ...http, number: 8080 }, hosts: ["*"], bind: "127.0.0.1" },
      { port: http, hosts: ["*"] },
    ];
    const expected = ["0.0.0.0_80", "0.0.0.0_443", "127.0.0.1_8080", "127.0.0.2_8080"];
    assert.deepEqual(namesOf(makeGateway("a", servers)), expected);
  });

  test("is said by the first of a port where HTTP and HTTPS meet", () => {
    const [listener] = buildListeners(
      makeGateway("a", [{ port: http, hosts: ["a.com"] }]),
      makeGateway("b", [{ port: { ...https, number: 80 }, hosts: ["b.com"], tls: tls("c") }]),
    );
    assert.equal(listener!.filterChains.length, 1);
    assert.equal(listener!.filterChains[0]!.transportSocket, undefined);
  });
});
