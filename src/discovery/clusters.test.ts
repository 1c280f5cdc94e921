import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  ServiceEntry_Resolution as Resolution,
  ServiceEntrySchema,
} from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { buildClusters, clusterName } from "./clusters.ts";

function makeEntry(spec: MessageInitShape<typeof ServiceEntrySchema>): IstioConfig<"ServiceEntry"> {
  return { kind: "ServiceEntry", namespace: "ns", name: "e", spec: create(ServiceEntrySchema, spec) };
}

function build(spec: MessageInitShape<typeof ServiceEntrySchema>) {
  const { clusters, endpoints } = buildClusters(makeEntry(spec));
  return {
    clusters: clusters.map((cluster) => resourceJson(cluster) as Record<string, unknown>),
    endpoints: endpoints.map((assignment) => resourceJson(assignment)),
  };
}

/** The `address:port` of an assignment's endpoints, as JSON holds them. */
function addressesOf(assignment: unknown): string[] {
  const { endpoints = [] } = assignment as { endpoints?: { lbEndpoints: unknown[] }[] };
  return endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.map((item) => {
      const { endpoint } = item as { endpoint: { address: { socketAddress: Record<string, unknown> } } };
      const { address, portValue } = endpoint.address.socketAddress;
      return `${address}:${portValue}`;
    }),
  );
}

const http = { number: 80, protocol: "HTTP", name: "http" };

test("a cluster's name is Istio's, the one that plugins see", () => {
  assert.equal(clusterName(80, "a.ns.svc.cluster.local"), "outbound|80||a.ns.svc.cluster.local");
  assert.equal(clusterName(443, "a.com", "v1"), "outbound|443|v1|a.com");
});

test("each host and port is a cluster, filled by EDS", () => {
  const admin = { number: 9000, protocol: "HTTP", name: "admin" };
  const spec = { hosts: ["a", "b"], ports: [http, admin], resolution: Resolution.STATIC };
  const { clusters, endpoints } = build(spec);
  assert.deepEqual(
    clusters.map(({ name }) => name),
    ["outbound|80||a", "outbound|9000||a", "outbound|80||b", "outbound|9000||b"],
  );
  assert.equal(clusters[0]?.type, "EDS");
  assert.deepEqual(clusters[0]?.edsClusterConfig, {
    edsConfig: { ads: {}, resourceApiVersion: "V3" },
    serviceName: "outbound|80||a",
  });
  assert.deepEqual(endpoints[0], { clusterName: "outbound|80||a" });
});

test("an endpoint is reached at the port that it gives for the service's", () => {
  const { endpoints } = build({
    hosts: ["a"],
    ports: [http, { ...http, number: 81, name: "admin", targetPort: 8181 }],
    resolution: Resolution.STATIC,
    endpoints: [{ address: "10.0.0.1", ports: { http: 8080 } }, { address: "10.0.0.2" }],
  });
  assert.deepEqual(endpoints.map(addressesOf), [["10.0.0.1:8080", "10.0.0.2:80"], ["10.0.0.2:8181"]]);
});

test("an external name is resolved by the gateway, and has no EDS", () => {
  const spec = { hosts: ["a.ns"], ports: [http], resolution: Resolution.DNS };
  const { clusters, endpoints } = build({ ...spec, endpoints: [{ address: "example.com" }] });
  assert.deepEqual(endpoints, []);
  assert.equal(clusters[0]?.type, "STRICT_DNS");
  assert.deepEqual(addressesOf(clusters[0]?.loadAssignment), ["example.com:80"]);
  assert.deepEqual(addressesOf(build(spec).clusters[0]?.loadAssignment), ["a.ns:80"]);
});

suite("the protocol", () => {
  const optionsOf = (protocol: string) =>
    build({ hosts: ["a"], ports: [{ ...http, protocol }] }).clusters[0]?.typedExtensionProtocolOptions;

  test("of HTTP/2 and gRPC ports is HTTP/2", () => {
    for (const protocol of ["HTTP2", "GRPC", "GRPC-WEB", "http2"]) assert.ok(optionsOf(protocol), protocol);
  });

  test("of all others is Envoy's default", () => {
    for (const protocol of ["HTTP", "HTTPS", "TCP", ""])
      assert.equal(optionsOf(protocol), undefined, protocol);
  });
});

test("a ServiceEntry is built once", () => {
  const entry = makeEntry({ hosts: ["a"], ports: [http] });
  assert.equal(buildClusters(entry), buildClusters(entry));
});
