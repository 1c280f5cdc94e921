import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import {
  FilterConfigSchema,
  type VirtualHost,
  VirtualHostSchema,
} from "../gen/envoy/config/route/v3/route_components_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { HeaderMap } from "../proxy-wasm/header-map.ts";
import { RefusedConfig } from "./refused-config.ts";
import { compilers } from "./resource-kinds.ts";
import type { RouteTable } from "./route-table.ts";
import { selectRoute } from "./select-route.ts";

/** What an operator might change of a virtual host. */
const hostParts = fc.record({
  name: fc.constantFrom("a", "b", "c", "d"),
  domain: fc.constantFrom("a.com", "b.com", "*.c.com", "d.*", "*", "É.com"),
  path: fc.constantFrom("/", "/a", "/a;b"),
  // One byte more than the smaller limit of a table.
  body: fc.constantFrom("", "short", "longer"),
  filter: fc.constantFrom("none", "disabled", "unknown"),
  header: fc.constantFrom("", "x-one", ":path"),
});
type HostParts = typeof hostParts extends fc.Arbitrary<infer T> ? T : never;

const tableParts = fc.record({
  maxDirectResponseBodySizeBytes: fc.constantFrom(undefined, 5),
  ignorePathParametersInPathMatching: fc.boolean(),
  ignorePortInHostMatching: fc.boolean(),
  mostSpecificHeaderMutationsWins: fc.boolean(),
});

function hostOf(parts: HostParts): VirtualHost {
  const { name, domain, path, body, filter, header } = parts;
  const perFilter = {
    disabled: { disabled: true },
    unknown: { disabled: false, config: { typeUrl: "t/x" } },
  };
  return create(VirtualHostSchema, {
    name,
    domains: [domain],
    routes: [
      {
        name: `${name} ${path}`,
        match: { pathSpecifier: { case: "path", value: path } },
        action: {
          case: "directResponse",
          value: { status: 200, body: { specifier: { case: "inlineString", value: body } } },
        },
      },
    ],
    requestHeadersToAdd: header === "" ? [] : [{ header: { key: header, value: "1" } }],
    typedPerFilterConfig:
      filter === "none"
        ? {}
        : { filter: anyPack(FilterConfigSchema, create(FilterConfigSchema, perFilter[filter])) },
  });
}

type TableFields = MessageInitShape<typeof RouteConfigurationSchema>;

const encode = (fields: TableFields, hosts: readonly HostParts[]) =>
  toBinary(
    RouteConfigurationSchema,
    create(RouteConfigurationSchema, { name: "t", ...fields, virtualHosts: hosts.map(hostOf) }),
  );

const compile = (bytes: Uint8Array, previous?: RouteTable) => compilers.routes("t", bytes, previous);

/** A table, or why there is none. */
function outcomeOf(bytes: Uint8Array, previous?: RouteTable): RouteTable | string {
  try {
    return compile(bytes, previous);
  } catch (error) {
    if (!(error instanceof RefusedConfig)) throw error;
    return error.message;
  }
}

const authorities = ["a.com", "b.com:80", "x.c.com", "d.org", "other", "A.com"];
const paths = ["/", "/a", "/a;b", "/a;b/", "/;b"];

/** All that can be seen of a table: its data, and which route each request takes. */
function seen(outcome: RouteTable | string): unknown {
  if (typeof outcome === "string") return outcome;
  const data = JSON.stringify(outcome, (_key, value) => (value instanceof Map ? [...value] : value));
  const routes = authorities.flatMap((authority) =>
    paths.map((path) => {
      const headers = new HeaderMap([
        [":authority", authority],
        [":path", path],
        ["x-forwarded-proto", "http"],
      ]);
      const { virtualHost, route } = selectRoute(outcome, { headers, random: 0 }) ?? {};
      return [virtualHost?.name, route?.name];
    }),
  );
  return { data, routes };
}

test("a table of hosts that were kept is the one that is compiled anew, and refused for the same reason", () => {
  const versions = fc.array(fc.tuple(tableParts, fc.array(hostParts, { maxLength: 4 })), {
    minLength: 2,
    maxLength: 6,
  });
  const edits = versions.map((all) =>
    // Each version has some hosts of the one before, at other places.
    all.map(([fields, hosts], index) =>
      encode(fields, index % 3 === 2 ? hosts : [...hosts.slice(0, 1), ...(all[index - 1]?.[1] ?? hosts)]),
    ),
  );
  const counts = { taken: 0, refused: 0 };
  fc.assert(
    fc.property(edits, (tables) => {
      let previous: RouteTable | undefined;
      for (const bytes of tables) {
        const outcome = outcomeOf(bytes, previous);
        assert.deepEqual(seen(outcome), seen(outcomeOf(bytes)));
        counts[typeof outcome === "string" ? "refused" : "taken"]++;
        if (typeof outcome !== "string") previous = outcome;
      }
    }),
    { numRuns: fuzzRuns(500) },
  );
  assert.ok(counts.taken > 100 && counts.refused > 100, JSON.stringify(counts));
});

const plain = { domain: "", path: "/", body: "short", filter: "none", header: "" } as const;
const three: readonly HostParts[] = [
  { ...plain, name: "a", domain: "a.com" },
  { ...plain, name: "b", domain: "b.com" },
  { ...plain, name: "c", domain: "*.c.com" },
];
const hostsOf = ({ virtualHosts }: RouteTable) => virtualHosts;

test("a host with the same bytes is the same object, wherever it stands", () => {
  const before = compile(encode({}, three));
  const [a, b, c] = hostsOf(before);
  const edited = compile(encode({}, [{ ...three[1]!, path: "/a" }, three[2]!, three[0]!]), before);
  assert.equal(hostsOf(edited)[1], c);
  assert.equal(hostsOf(edited)[2], a);
  assert.notEqual(hostsOf(edited)[0], b);
  assert.equal(edited.findVirtualHost("a.com"), a);
});

test("what a table says of all its routes voids its hosts, and what it says of others does not", () => {
  const before = compile(encode({}, three));
  const isKept = (fields: TableFields) =>
    hostsOf(compile(encode(fields, three), before))[0] === hostsOf(before)[0];
  assert.ok(!isKept({ maxDirectResponseBodySizeBytes: 5 }));
  assert.ok(!isKept({ ignorePathParametersInPathMatching: true }));
  assert.ok(isKept({ ignorePortInHostMatching: true, mostSpecificHeaderMutationsWins: true }));
  assert.ok(isKept({ maxDirectResponseBodySizeBytes: 4096 }));
});

test("fields may come in any order, also ones that nobody knows", () => {
  const [hosts, settings] = [
    encode({ name: "" }, three),
    encode({ ignorePathParametersInPathMatching: true }, []),
  ];
  const unknown = new BinaryWriter().tag(999, WireType.Varint).uint32(7).finish();
  const mixed = Buffer.concat([unknown, hosts, unknown, settings]);
  assert.deepEqual(seen(compile(mixed)), seen(compile(Buffer.concat([settings, hosts]))));
});

test("what cannot be read is refused, in a host or around it", () => {
  const bytes = encode({}, three);
  const broken = new BinaryWriter()
    .tag(2, WireType.LengthDelimited)
    .bytes(Buffer.from([10, 200]))
    .finish();
  const reasons = {
    cut: /^Unable to parse envoy\.config\.route\.v3\.RouteConfiguration: /,
    host: /^virtual_hosts\[3\]: Unable to parse envoy\.config\.route\.v3\.VirtualHost: /,
  };
  assert.match(String(outcomeOf(bytes.subarray(0, -3))), reasons.cut);
  assert.match(String(outcomeOf(Buffer.concat([bytes, broken]), compile(bytes))), reasons.host);
});
