import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { fc, fuzzRuns } from "../../test/peers/properties.ts";
import {
  GatewaySchema,
  ServerTLSSettings_TLSmode as TlsMode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import { createRouteBuilder } from "./route-tables.ts";
import { createServersByPort } from "./servers.ts";
import { createServicesByGateway } from "./services-by-gateway.ts";

type Gateway = IstioConfig<"Gateway">;
type VirtualService = IstioConfig<"VirtualService">;

interface State {
  readonly gateways: readonly Gateway[];
  readonly services: readonly VirtualService[];
}

const proxy = { namespace: "ns", labels: { app: "a" }, secrets: "none", chain: "listener" } as const;

const gateways = fc
  .record({
    name: fc.constantFrom("a", "b", "c", "d"),
    app: fc.constantFrom("a", "a", "a", "b"),
    hosts: fc.subarray(["x.com", "y.com", "ns/y.com", "*"], { minLength: 1 }),
    kind: fc.constantFrom("plain", "plain", "redirect", "tls"),
  })
  .map(({ name, app, hosts, kind }): Gateway => {
    const tls = {
      plain: undefined,
      redirect: { httpsRedirect: true },
      tls: { mode: TlsMode.SIMPLE, credentialName: "c" },
    }[kind];
    const port = kind === "tls" ? { number: 443, name: "https" } : { number: 80, name: "http" };
    const spec = create(GatewaySchema, { selector: { app }, servers: [{ port, hosts, tls }] });
    return { kind: "Gateway", namespace: "ns", name, spec };
  });

const services = fc
  .record({
    name: fc.constantFrom("v", "w", "x", "y"),
    gateways: fc.subarray(["a", "ns/a", "ns/b", "c", "d"]),
    hosts: fc.subarray(["x.com", "y.com", "*"], { minLength: 1 }),
    routes: fc.nat(2),
  })
  .map(({ name, gateways, hosts, routes }): VirtualService => {
    const http = Array.from({ length: routes }, (_, index) => ({ name: `${name}-${index}` }));
    const spec = create(VirtualServiceSchema, { gateways, hosts, http });
    return { kind: "VirtualService", namespace: "ns", name, spec };
  });

/** Each the last one with one Gateway or VirtualService put in, taken out or in the place of another. */
const edits = fc
  .array(
    fc.record({
      gateway: fc.option(gateways),
      service: fc.option(services),
      at: fc.nat(9),
      taken: fc.nat(1),
    }),
    {
      maxLength: 20,
    },
  )
  .map((steps) => {
    const states: State[] = [{ gateways: [], services: [] }];
    for (const { gateway, service, at, taken } of steps) {
      const last = states.at(-1)!;
      states.push({
        gateways: exchange(last.gateways, gateway, at, taken),
        services: exchange(last.services, service, at, taken),
      });
    }
    return states;
  });

function exchange<T>(list: readonly T[], item: T | null, at: number, taken: number): readonly T[] {
  if (!item && taken === 0) return list;
  return list.toSpliced(at % (list.length + 1), taken, ...(item ? [item] : []));
}

function createTables() {
  const servers = createServersByPort(proxy);
  const bind = createServicesByGateway();
  const build = createRouteBuilder();
  return (state: State) => build(servers(state.gateways), bind(state.services));
}

test("route tables are the same as built anew, and the same objects while their content is", () => {
  fc.assert(
    fc.property(edits, (states) => {
      const tables = createTables();
      let last: ReturnType<typeof tables> = [];
      for (const state of states) {
        const built = tables(state);
        assert.deepEqual(built, createTables()(state));
        for (const table of built) {
          const before = last.find(({ name }) => name === table.name);
          assert.equal(before === table, before?.version === table.version);
        }
        last = built;
      }
    }),
    { numRuns: fuzzRuns(1000) },
  );
});

test("a Gateway without routes leaves its table the same object", () => {
  const tables = createTables();
  const server = { port: { number: 80 }, hosts: ["x.com"] };
  const gateway = (name: string): Gateway => ({
    ...{ kind: "Gateway", namespace: "ns", name },
    spec: create(GatewaySchema, { servers: [server] }),
  });
  const spec = create(VirtualServiceSchema, { gateways: ["a"], hosts: ["x.com"], http: [{ name: "r" }] });
  const services: VirtualService[] = [{ kind: "VirtualService", namespace: "ns", name: "v", spec }];
  const [before] = tables({ gateways: [gateway("a")], services });
  const [after] = tables({ gateways: [gateway("a"), gateway("b")], services });
  assert.ok(Buffer.from(before!.value).includes("x.com"));
  // A Gateway that is another object, and says the same.
  assert.equal(after, before);
});
