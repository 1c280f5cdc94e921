import assert from "node:assert/strict";
import { test } from "node:test";
import { create, type DescMessage, fromBinary, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { HTTPFaultSchema } from "../gen/envoy/extensions/filters/http/fault/v3/fault_pb.ts";
import { RBACSchema } from "../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import {
  type HttpConnectionManager,
  HttpConnectionManagerSchema,
  type HttpFilter,
  HttpFilterSchema,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { rbacTypeUrl, wasmTypeUrl } from "../xds/type-urls.ts";
import { currentRouteName, withCurrentRoute } from "./current-route.ts";

function slot(name: string, typeUrls: readonly string[] = [wasmTypeUrl, rbacTypeUrl]): HttpFilter {
  return create(HttpFilterSchema, {
    name,
    configType: { case: "configDiscovery", value: { typeUrls: [...typeUrls] } },
  });
}

function builtIn(name: string, schema: DescMessage): HttpFilter {
  const value = anyPack(schema, create(schema));
  return create(HttpFilterSchema, { name, configType: { case: "typedConfig", value } });
}

const cors = builtIn("cors", CorsSchema);
const rbac = builtIn("rbac", RBACSchema);
const fault = builtIn("fault", HTTPFaultSchema);
const router = builtIn("router", RouterSchema);

/** An encoded listener with a chain for each list of HTTP filters, the last of them the default one. */
function listener(...chains: readonly (readonly HttpFilter[])[]): Uint8Array {
  const filterChains = chains.map((httpFilters) => {
    const connections = create(HttpConnectionManagerSchema, {
      statPrefix: "p",
      httpFilters: [...httpFilters],
    });
    const value = anyPack(HttpConnectionManagerSchema, connections);
    return { filters: [{ name: "hcm", configType: { case: "typedConfig" as const, value } }] };
  });
  const message = create(ListenerSchema, {
    name: "l",
    filterChains: filterChains.slice(0, -1),
    defaultFilterChain: filterChains.at(-1),
  });
  return toBinary(ListenerSchema, message);
}

function connectionsIn(bytes: Uint8Array): readonly HttpConnectionManager[] {
  const { filterChains, defaultFilterChain } = fromBinary(ListenerSchema, bytes);
  return [...filterChains, defaultFilterChain!].map((chain) => {
    const { configType } = chain.filters[0]!;
    assert(configType.case === "typedConfig");
    return anyUnpack(configType.value, HttpConnectionManagerSchema)!;
  });
}

const names = (bytes: Uint8Array) =>
  connectionsIn(bytes).map(({ httpFilters }) => httpFilters.map(({ name }) => name));

test("between plugins the current route is looked up, in every chain", () => {
  const rewritten = withCurrentRoute(
    listener([cors, slot("a"), slot("b"), rbac, slot("c"), router], [slot("a"), slot("b"), slot("c")]),
  );
  const look = currentRouteName;
  assert.deepEqual(names(rewritten), [
    ["cors", "a", look, "b", "rbac", "c", "router"],
    ["a", look, "b", look, "c"],
  ]);
  const [{ httpFilters, statPrefix } = assert.fail()] = connectionsIn(rewritten);
  assert.equal(statPrefix, "p");
  const added = httpFilters[2]!.configType;
  assert(added.case === "typedConfig");
  assert.deepEqual(anyUnpack(added.value, RBACSchema), create(RBACSchema));
});

test("behind another filter, which may change the route, it is looked up as well", () => {
  const rewritten = withCurrentRoute(listener([fault, slot("a"), router]));
  assert.deepEqual(names(rewritten), [["fault", currentRouteName, "a", "router"]]);
});

test("the same listener is rewritten to the same bytes, and only once", () => {
  const bytes = listener([slot("a"), slot("b"), router]);
  const rewritten = withCurrentRoute(bytes);
  assert.deepEqual(withCurrentRoute(bytes), rewritten);
  assert.equal(withCurrentRoute(rewritten), rewritten);
});

/** The listener with something else where the settings of its connections are. */
function brokenWithin(bytes: Uint8Array): Uint8Array {
  const message = fromBinary(ListenerSchema, bytes);
  const { configType } = message.defaultFilterChain!.filters[0]!;
  assert(configType.case === "typedConfig");
  configType.value.value = Uint8Array.from([0xff]);
  return toBinary(ListenerSchema, message);
}

test("a listener that needs nothing, and what is none, stay the same bytes", () => {
  const other = slot("other", [rbacTypeUrl]);
  for (const bytes of [
    listener([cors, slot("a"), rbac, slot("b"), router]),
    listener([slot("a"), other, router], []),
    toBinary(
      ListenerSchema,
      create(ListenerSchema, { name: "tcp", filterChains: [{ filters: [{ name: "f" }] }] }),
    ),
    Uint8Array.from([0xff]),
    brokenWithin(listener([slot("a"), slot("b")])),
  ])
    assert.equal(withCurrentRoute(bytes), bytes);
});
