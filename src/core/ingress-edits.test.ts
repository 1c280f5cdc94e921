import assert from "node:assert/strict";
import { test } from "node:test";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import {
  type EndpointSlice,
  emptyResourceSet,
  type Ingress,
  type ResourceSet,
  type Secret,
  type Service,
} from "../resource/types.ts";
import { convertIngresses } from "./convert-ingress.ts";
import { defaultConvertOptions } from "./convert-options.ts";

const options = { ...defaultConvertOptions, ingressClass: "higress" };
const names = ["a", "b", "c", "d", "e"];
const hosts = ["foo.com", "bar.com", "*.baz.com", "Not a name", undefined];

const oneOf = <T>(...values: readonly T[]) => fc.constantFrom(...values);
const upTo = <T>(maxLength: number, arbitrary: fc.Arbitrary<T>) => fc.array(arbitrary, { maxLength });

const backend = fc.record({
  service: fc.record({
    name: oneOf("x", "y", ""),
    port: oneOf<object>({ number: 80 }, { number: 81 }, { name: "http" }, {}),
  }),
});
const path = fc.record({
  path: oneOf("/", "/a", "/a/", "/b", "b"),
  pathType: oneOf("Exact" as const, "Prefix" as const, undefined),
  backend,
});
const ingressSpec = fc.record({
  ingressClassName: oneOf("higress", "higress", "higress", "other"),
  defaultBackend: fc.option(backend, { nil: undefined, freq: 4 }),
  rules: upTo(
    2,
    fc.record({
      host: oneOf(...hosts),
      http: fc.option(fc.record({ paths: upTo(3, path) }), { nil: undefined }),
    }),
  ),
  tls: upTo(2, fc.record({ hosts: upTo(2, oneOf("foo.com", "bar.com")), secretName: oneOf("x", "y", "z") })),
});
const annotations = fc.dictionary(
  oneOf("higress.io/ssl-redirect", "nginx.ingress.kubernetes.io/canary", "higress.io/other"),
  oneOf("true", "false", "maybe"),
  { maxKeys: 1 },
);
const metadata = { name: oneOf(...names), namespace: oneOf("ns", options.systemNamespace) };
const age = oneOf("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");

const ingress: fc.Arbitrary<Ingress> = fc.record({
  kind: fc.constant("Ingress" as const),
  metadata: fc.record({
    ...metadata,
    annotations,
    server: fc.record({ uid: fc.constant("1"), generation: fc.constant(1), creationTimestamp: age }),
  }),
  spec: ingressSpec,
});
const service: fc.Arbitrary<Service> = fc.record({
  kind: fc.constant("Service" as const),
  metadata: fc.record({ ...metadata, name: oneOf("x", "y") }),
  spec: oneOf<Service["spec"]>({ ports: [{ port: 80, name: "http" }] }, { ports: [{ port: 81 }] }, {}),
});
const slice: fc.Arbitrary<EndpointSlice> = fc.record({
  kind: fc.constant("EndpointSlice" as const),
  metadata: fc.record({
    ...metadata,
    labels: fc.record({ "kubernetes.io/service-name": oneOf("x", "y") }),
  }),
});
// Which are usable is for the tests of certificates; here it matters whether there is one, and which.
const secret: fc.Arbitrary<Secret> = fc.record({
  kind: fc.constant("Secret" as const),
  metadata: fc.record({ ...metadata, name: oneOf("x", "y") }),
  type: oneOf("kubernetes.io/tls", "Opaque"),
  data: fc.constant({}),
});

type Item = Ingress | Service | EndpointSlice | Secret;

interface Edit {
  readonly item: Item;
  /** Takes it away instead of putting it there. */
  readonly remove: boolean;
}

const item = fc.oneof({ weight: 3, arbitrary: ingress }, service, slice, secret) as fc.Arbitrary<Item>;
const edit: fc.Arbitrary<Edit> = fc.record({ item, remove: fc.boolean() });

const keyOf = ({ kind, metadata: { namespace, name } }: Item) => `${kind}/${namespace}/${name}`;

function setOf(items: Iterable<Item>): ResourceSet {
  const all = [...items];
  return {
    ...emptyResourceSet,
    ingresses: all.filter((each) => each.kind === "Ingress"),
    services: all.filter((each) => each.kind === "Service"),
    endpointSlices: all.filter((each) => each.kind === "EndpointSlice"),
    secrets: all.filter((each) => each.kind === "Secret"),
  };
}

test("after any edits the result is what it would be from nothing", () => {
  fc.assert(
    fc.property(fc.array(edit, { minLength: 1, maxLength: 25 }), (edits) => {
      const ours = { ...options };
      const items = new Map<string, Item>();
      for (const { item, remove } of edits) {
        if (remove) items.delete(keyOf(item));
        else items.set(keyOf(item), item);
        const converted = convertIngresses(setOf(items.values()), ours);
        const anew = convertIngresses(setOf(structuredClone([...items.values()])), { ...options });
        assert.deepEqual(converted, anew);
      }
    }),
    { numRuns: fuzzRuns(150) },
  );
});

const simple = (name: string, host: string, to = "x"): Ingress => ({
  kind: "Ingress",
  metadata: { name, namespace: "ns" },
  spec: {
    ingressClassName: "higress",
    rules: [
      { host, http: { paths: [{ path: "/", backend: { service: { name: to, port: { number: 80 } } } }] } },
    ],
  },
});

test("what no edit touched stays the same object, and is not sorted to another place", () => {
  const ours = { ...options };
  const all = [simple("a", "a.com"), simple("b", "b.com"), simple("c", "c.com")];
  const before = convertIngresses(setOf(all), ours);
  const after = convertIngresses(setOf([all[0]!, simple("b", "b.com", "y"), all[2]!]), ours);
  const changed = after.virtualServices.filter((config) => !before.virtualServices.includes(config));
  assert.deepEqual(
    changed.map(({ spec }) => spec.hosts),
    [["b.com"]],
  );
  assert.equal(after.gateways, before.gateways);
  const again = convertIngresses(setOf([all[0]!, simple("b", "b.com", "y"), all[2]!]), ours);
  assert.equal(again.virtualServices, after.virtualServices);
});
