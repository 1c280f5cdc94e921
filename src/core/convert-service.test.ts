import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { toJson } from "@bufbuild/protobuf";
import { fc } from "../../test/peers/properties.ts";
import { ServiceEntrySchema } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { formatPath } from "../resource/diagnostic.ts";
import type { EndpointSlice, ResourceSet, Service, ServicePort } from "../resource/types.ts";
import { defaultConvertOptions } from "./convert-options.ts";
import { convertServices } from "./convert-service.ts";
import { protocolOf } from "./service-protocol.ts";

type Endpoint = NonNullable<EndpointSlice["endpoints"]>[number];

function makeService(id: string, spec: Service["spec"]): Service {
  const [namespace = "", name = ""] = id.split("/");
  return { kind: "Service", metadata: { namespace, name }, spec };
}

function makeSlice(
  id: string,
  service: string,
  ports: EndpointSlice["ports"],
  ...endpoints: (string | Endpoint)[]
): EndpointSlice {
  const [namespace = "", name = ""] = id.split("/");
  return {
    kind: "EndpointSlice",
    metadata: { namespace, name, labels: { "kubernetes.io/service-name": service } },
    addressType: "IPv4",
    ports,
    endpoints: endpoints.map((item) => (typeof item === "string" ? { addresses: [item] } : item)),
  };
}

function makeSet(services: readonly Service[], endpointSlices: readonly EndpointSlice[]): ResourceSet {
  return {
    wasmPlugins: [],
    ingresses: [],
    ingressClasses: [],
    services,
    endpointSlices,
    secrets: [],
    configMaps: [],
  };
}

function convert(services: readonly Service[], slices: readonly EndpointSlice[] = []) {
  return convertServices(makeSet(services, slices), { ...defaultConvertOptions });
}

/** `address port,port` of each endpoint of the only Service. */
function endpointsOf(service: Service, ...slices: EndpointSlice[]): string[] {
  const { endpoints } = convert([service], slices).serviceEntries[0]!.spec;
  return endpoints.map(({ address, ports }) => `${address} ${JSON.stringify(ports)}`);
}

const echo = makeService("course/echo", { ports: [{ name: "http", port: 80, targetPort: 3000 }] });
const unnamed = makeService("course/echo", { ports: [{ port: 80, targetPort: 3000 }] });
const echoSlice = makeSlice("course/echo-1", "echo", [{ name: "http", port: 3000 }], "10.0.0.1", "10.0.0.2");

suite("convertServices", () => {
  test("a Service and its EndpointSlices become a ServiceEntry of the same name", () => {
    const { serviceEntries, diagnostics } = convert([echo], [echoSlice]);
    const { spec, ...rest } = serviceEntries[0]!;
    assert.deepEqual(rest, { kind: "ServiceEntry", namespace: "course", name: "echo" });
    assert.deepEqual(toJson(ServiceEntrySchema, spec), {
      hosts: ["echo.course.svc.cluster.local"],
      ports: [{ number: 80, protocol: "HTTP", name: "http" }],
      location: "MESH_INTERNAL",
      resolution: "STATIC",
      endpoints: [
        { address: "10.0.0.1", ports: { http: 3000 } },
        { address: "10.0.0.2", ports: { http: 3000 } },
      ],
    });
    assert.deepEqual(diagnostics, []);
  });

  test("an unnamed port is matched by its missing name and gets one that Istio takes", () => {
    const slice = makeSlice("course/echo-1", "echo", [{ port: 3000 }], "10.0.0.1");
    assert.deepEqual(endpointsOf(unnamed, slice), ['10.0.0.1 {"http-80":3000}']);
    const empty = makeSlice("course/echo-1", "echo", [{ name: "", port: 3000 }], "10.0.0.1");
    assert.deepEqual(endpointsOf(unnamed, empty), ['10.0.0.1 {"http-80":3000}']);
    assert.equal(convert([unnamed]).serviceEntries[0]!.spec.ports[0]!.name, "http-80");
  });

  test("only endpoints that take requests are there", () => {
    const slice = makeSlice(
      "course/echo-1",
      "echo",
      [{ name: "http", port: 3000 }],
      { addresses: ["10.0.0.1"], conditions: { ready: true, terminating: false } },
      { addresses: ["10.0.0.2"], conditions: { ready: false } },
      { addresses: ["10.0.0.3"], conditions: { ready: true, terminating: true } },
      { addresses: ["10.0.0.4", "10.0.0.5"], conditions: {} },
      { addresses: ["10.0.0.1"] },
      {},
    );
    assert.deepEqual(
      endpointsOf(echo, slice).map((text) => text.split(" ")[0]),
      ["10.0.0.1", "10.0.0.4", "10.0.0.5"],
    );
  });

  test("each slice has its own target ports, and slices come in the order of their names", () => {
    const named = makeService("course/echo", { ports: [{ name: "http", port: 80, targetPort: "web" }] });
    assert.deepEqual(
      endpointsOf(
        named,
        makeSlice("course/b", "echo", [{ name: "http", port: 4000 }], "10.0.0.2"),
        makeSlice("course/a", "echo", [{ name: "http", port: 3000 }], "10.0.0.1"),
      ),
      ['10.0.0.1 {"http":3000}', '10.0.0.2 {"http":4000}'],
    );
  });

  test("a slice port without number leads to the target port, or the port itself", () => {
    const slice = makeSlice("course/a", "echo", [{ name: "http" }], "10.0.0.1");
    assert.deepEqual(endpointsOf(echo, slice), ['10.0.0.1 {"http":3000}']);
    const plain = makeService("course/echo", { ports: [{ name: "http", port: 80 }] });
    assert.deepEqual(endpointsOf(plain, slice), ['10.0.0.1 {"http":80}']);
  });

  test("slices of other Services, other namespaces and without label do not count", () => {
    const slices = [
      makeSlice("course/a", "other", [{ name: "http", port: 1 }], "10.0.0.1"),
      makeSlice("other/a", "echo", [{ name: "http", port: 1 }], "10.0.0.2"),
      { ...echoSlice, metadata: { namespace: "course", name: "echo" } },
    ];
    assert.deepEqual(endpointsOf(echo, ...slices), []);
    assert.deepEqual(convert([echo], slices).diagnostics, []);
  });

  test("ports over other protocols than TCP are left out, and a Service without any, too", () => {
    const mixed = makeService("course/mixed", {
      ports: [
        { name: "dns", port: 53, protocol: "UDP" },
        { name: "http", port: 80, protocol: "TCP" },
      ],
    });
    const { serviceEntries } = convert([mixed, makeService("course/none", {})]);
    assert.deepEqual(
      serviceEntries.map(({ name, spec }) => [name, spec.ports.map(({ number }) => number)]),
      [["mixed", [80]]],
    );
  });

  test("an external name is resolved by DNS, on the Service's own ports", () => {
    const external = makeService("course/ext", {
      type: "ExternalName",
      externalName: "httpbin.example",
      ports: [{ name: "https", port: 443, targetPort: 8443 }],
    });
    assert.deepEqual(toJson(ServiceEntrySchema, convert([external]).serviceEntries[0]!.spec), {
      hosts: ["ext.course.svc.cluster.local"],
      ports: [{ number: 443, protocol: "HTTPS", name: "https" }],
      resolution: "DNS",
      endpoints: [{ address: "httpbin.example" }],
    });
  });
});

suite("convertServices: remarks", () => {
  const remarks = (services: readonly Service[], slices: readonly EndpointSlice[] = []) =>
    convert(services, slices).diagnostics.map(
      ({ severity, code, at }) => `${severity} ${code} ${at.ref?.kind} ${formatPath(at.path ?? [])}`,
    );

  test("an external name that is missing", () => {
    const broken = makeService("course/ext", { type: "ExternalName", ports: [{ port: 80 }] });
    assert.deepEqual(remarks([broken, echo]), ["error MISSING_FIELD Service spec"]);
    assert.deepEqual(
      convert([broken, echo]).serviceEntries.map(({ name }) => name),
      ["echo"],
    );
  });

  test("a slice whose ports have other names", () => {
    const slice = makeSlice("course/a", "echo", [{ port: 3000 }], "10.0.0.1");
    assert.deepEqual(remarks([echo], [slice]), ["warning PORT_NOT_FOUND EndpointSlice ports"]);
    assert.deepEqual(endpointsOf(echo, slice), []);
  });

  test("a slice of names in the place of addresses", () => {
    const slice = { ...makeSlice("course/a", "echo", [{ name: "http" }], "a.example"), addressType: "FQDN" };
    assert.deepEqual(remarks([echo], [slice]), ["warning BACKEND_UNSUPPORTED EndpointSlice addressType"]);
    assert.deepEqual(endpointsOf(echo, slice), []);
  });

  test("a Service without slices is no remark here", () => {
    assert.deepEqual(remarks([echo]), []);
    assert.deepEqual(endpointsOf(echo), []);
  });
});

test("protocolOf follows appProtocol, then the name up to the first dash", () => {
  const cases: [Omit<ServicePort, "port">, string][] = [
    [{}, "HTTP"],
    [{ name: "web" }, "HTTP"],
    [{ name: "http" }, "HTTP"],
    [{ name: "http2-api" }, "HTTP2"],
    [{ name: "GRPC-api" }, "GRPC"],
    [{ name: "grpc-web-api" }, "GRPC-WEB"],
    [{ name: "https" }, "HTTPS"],
    [{ name: "tls-x" }, "TLS"],
    [{ name: "tcp-x" }, "TCP"],
    [{ name: "httpx" }, "HTTP"],
    [{ name: "tcp", appProtocol: "grpc" }, "GRPC"],
    [{ name: "tcp", appProtocol: "kubernetes.io/h2c" }, "HTTP2"],
    [{ name: "tcp", appProtocol: "kubernetes.io/ws" }, "HTTP"],
    [{ name: "tcp", appProtocol: "kubernetes.io/wss" }, "HTTPS"],
    [{ name: "tcp", appProtocol: "example.com/own" }, "HTTP"],
  ];
  for (const [port, expected] of cases) {
    assert.equal(protocolOf({ port: 80, ...port }), expected, JSON.stringify(port));
  }
});

suite("convertServices: determinism and identity", () => {
  const other = makeService("a/other", { ports: [{ name: "http", port: 80 }] });
  const same = makeService("b/echo", { ports: [{ name: "http", port: 80 }] });

  test("the order of the input makes no difference", () => {
    const services = [echo, other, same];
    const slices = [
      echoSlice,
      makeSlice("course/echo-0", "echo", [{ name: "http", port: 3001 }], "10.0.0.9"),
      makeSlice("a/other-1", "other", [{ name: "wrong", port: 1 }], "10.0.0.3"),
    ];
    const expected = convert(services, slices);
    const all = fc.tuple(
      fc.shuffledSubarray(services, { minLength: services.length }),
      fc.shuffledSubarray(slices, { minLength: slices.length }),
    );
    fc.assert(fc.property(all, ([a, b]) => assert.deepEqual(convert(a, b), expected)));
  });

  test("unchanged arrays give the same result", () => {
    const options = { ...defaultConvertOptions };
    const set = makeSet([echo, other], [echoSlice]);
    assert.equal(convertServices({ ...set, wasmPlugins: [] }, options), convertServices(set, options));
  });

  test("a change of one Service leaves the object of the other", () => {
    const options = { ...defaultConvertOptions };
    const first = convertServices(makeSet([other, echo], [echoSlice]), options).serviceEntries;
    const moved = makeSlice("course/echo-1", "echo", [{ name: "http", port: 3000 }], "10.0.0.7");
    const second = convertServices(makeSet([other, echo], [moved]), options).serviceEntries;
    assert.equal(second[0], first[0]);
    assert.notEqual(second[1], first[1]);
    assert.equal(second[1]!.spec.endpoints[0]!.address, "10.0.0.7");
  });

  test("a change that makes no difference keeps the list", () => {
    const options = { ...defaultConvertOptions };
    const first = convertServices(makeSet([other, echo], [echoSlice]), options).serviceEntries;
    const second = convertServices(makeSet([other, echo], [{ ...echoSlice }]), options).serviceEntries;
    assert.equal(second, first);
  });
});
