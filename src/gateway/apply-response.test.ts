import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type DescMessage, fromJson, type JsonObject } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { ClusterLoadAssignmentSchema } from "../gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../gen/envoy/config/route/v3/route_pb.ts";
import { CompositeSchema } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import { CorsSchema } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import { RouterSchema } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { HttpConnectionManagerSchema } from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { DownstreamTlsContextSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/tls_pb.ts";
import { encodeResource, type XdsResource } from "../xds/snapshot.ts";
import { compositeTypeUrl, typeUrls } from "../xds/type-urls.ts";
import { applyResponse, emptyConfig } from "./apply-response.ts";
import { configDump } from "./config-dump.ts";
import type { GatewayConfig } from "./gateway-config.ts";

const ads = { ads: {} };

function resource<D extends DescMessage>(schema: D, name: string, json: JsonObject): XdsResource {
  return encodeResource(name, schema, fromJson(schema, json));
}

const edsCluster = (fields: JsonObject = {}) =>
  resource(ClusterSchema, "c", { name: "c", type: "EDS", edsClusterConfig: { edsConfig: ads }, ...fields });

const endpoints = (port: number) =>
  resource(ClusterLoadAssignmentSchema, "c", {
    clusterName: "c",
    endpoints: [
      {
        lbEndpoints: [
          { endpoint: { address: { socketAddress: { address: "127.0.0.1", portValue: port } } } },
        ],
      },
    ],
  });

const routes = (name: string, fields: JsonObject = {}) =>
  resource(RouteConfigurationSchema, name, {
    name,
    virtualHosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, route: { cluster: "c" } }],
        ...fields,
      },
    ],
  });

const extension = (schema: DescMessage = CompositeSchema) => {
  const typedConfig = anyPack(schema, fromJson(schema, {}));
  const message = fromJson(TypedExtensionConfigSchema, { name: "plugin" });
  return encodeResource("plugin", TypedExtensionConfigSchema, { ...message, typedConfig });
};

function listener({
  table = "r",
  tls = false,
  slot = {},
}: {
  table?: string;
  tls?: boolean;
  slot?: JsonObject;
} = {}) {
  const message = fromJson(ListenerSchema, {
    name: "l",
    address: { socketAddress: { address: "127.0.0.1", portValue: 8080 } },
    filterChains: [{ filters: [{ name: "http" }] }],
  });
  const manager = fromJson(HttpConnectionManagerSchema, {
    statPrefix: "s",
    rds: { configSource: ads, routeConfigName: table },
    httpFilters: [
      { name: "plugin", configDiscovery: { configSource: ads, typeUrls: [compositeTypeUrl], ...slot } },
      { name: "router" },
    ],
  });
  const router = anyPack(RouterSchema, fromJson(RouterSchema, {}));
  manager.httpFilters[1]!.configType = { case: "typedConfig", value: router };
  const [chain] = message.filterChains;
  const packed = anyPack(HttpConnectionManagerSchema, manager);
  chain!.filters[0]!.configType = { case: "typedConfig", value: packed };
  if (tls) {
    const context = fromJson(DownstreamTlsContextSchema, {
      commonTlsContext: { tlsCertificateSdsSecretConfigs: [{ name: "cert", sdsConfig: ads }] },
    });
    const value = anyPack(DownstreamTlsContextSchema, context);
    const socket = fromJson(ListenerSchema, { filterChains: [{ transportSocket: { name: "tls" } }] });
    chain!.transportSocket = socket.filterChains[0]!.transportSocket;
    chain!.transportSocket!.configType = { case: "typedConfig", value };
  }
  return encodeResource("l", ListenerSchema, message);
}

const directory = mkdtempSync(join(tmpdir(), "apply-response-"));
const files = makeCertificate(directory, "cert");
const [chainText, keyText] = [readFileSync(files.certificate, "utf8"), readFileSync(files.key, "utf8")];
after(() => rmSync(directory, { recursive: true }));
const certificate = resource(SecretSchema, "cert", {
  name: "cert",
  tlsCertificate: { certificateChain: { inlineString: chainText }, privateKey: { inlineString: keyText } },
});

/** Applies resources, of the type that follows from the order in which they come. */
function apply(config: GatewayConfig, ...steps: readonly (readonly [keyof typeof typeUrls, XdsResource])[]) {
  return steps.reduce((before, [type, changed]) => {
    const { config: next, errors } = applyResponse(before, {
      typeUrl: typeUrls[type],
      changed: [changed],
      removed: [],
    });
    assert.deepEqual([...errors], []);
    return next;
  }, config);
}

const complete = () =>
  apply(
    emptyConfig,
    ["cluster", edsCluster()],
    ["endpoints", endpoints(1)],
    ["listener", listener()],
    ["extensionConfig", extension()],
    ["routes", routes("r")],
  );

test("a cluster is used once its endpoints are there, or known not to exist", () => {
  const waiting = apply(emptyConfig, ["cluster", edsCluster()]);
  assert.deepEqual([waiting.clusters.size, waiting.warmingClusters.size], [0, 1]);
  const ready = apply(waiting, ["endpoints", endpoints(7)]);
  assert.equal(ready.clusters.get("c")?.endpoints.localities[0]?.endpoints[0]?.port, 7);
  assert.equal(ready.warmingClusters.size, 0);
  const without = applyResponse(waiting, { typeUrl: typeUrls.endpoints, changed: [], removed: ["c"] });
  assert.deepEqual(without.config.clusters.get("c")?.endpoints.localities, []);
});

test("a listener serves once its routes and filters are there", () => {
  const config = apply(emptyConfig, ["listener", listener()]);
  assert.deepEqual([config.listeners.size, config.warmingListeners.size], [0, 1]);
  const withRoutes = apply(config, ["routes", routes("r")]);
  assert.equal(withRoutes.listeners.size, 0);
  const ready = apply(withRoutes, ["extensionConfig", extension()]);
  assert.deepEqual([ready.listeners.size, ready.warmingListeners.size], [1, 0]);
});

test("a slot whose default counts at once is not waited for", () => {
  const message = listener({ slot: { applyDefaultConfigWithoutWarming: true } });
  const config = apply(emptyConfig, ["listener", message], ["routes", routes("r")]);
  assert.equal(config.listeners.size, 1);
});

test("a TLS listener waits for its certificate, even when the server has none", () => {
  const config = apply(
    emptyConfig,
    ["listener", listener({ tls: true })],
    ["routes", routes("r")],
    ["extensionConfig", extension()],
  );
  assert.equal(config.listeners.size, 0);
  const gone = applyResponse(config, { typeUrl: typeUrls.secret, changed: [], removed: ["cert"] });
  assert.equal(gone.config.listeners.size, 0);
  const ready = apply(gone.config, ["secret", certificate]);
  assert.equal(ready.listeners.size, 1);
  assert.equal(ready.secrets.get("cert")?.kind, "certificate");
});

test("the version before serves while the new one waits; then its routes are forgotten", () => {
  const before = complete();
  const serving = before.listeners.get("l");
  const waiting = apply(before, ["listener", listener({ table: "r2" })]);
  assert.equal(waiting.listeners.get("l"), serving);
  assert.deepEqual([...waiting.routes.keys()], ["r"]);
  const after = apply(waiting, ["routes", routes("r2")]);
  assert.notEqual(after.listeners.get("l"), serving);
  assert.deepEqual([...after.routes.keys()], ["r2"]);
});

test("what did not change stays the same object", () => {
  const before = complete();
  const edited = apply(before, ["extensionConfig", { ...extension(), version: "2" }]);
  assert.equal(edited.extensionConfigs.get("plugin"), before.extensionConfigs.get("plugin"));
  assert.equal(edited.listeners, before.listeners);
  assert.equal(edited.clusters, before.clusters);
  assert.equal(edited.routes, before.routes);
  const moved = apply(before, ["endpoints", endpoints(2)]);
  assert.notEqual(moved.clusters.get("c"), before.clusters.get("c"));
  assert.equal(moved.listeners, before.listeners);
});

test("what is not understood is refused with its field, the others of the response are taken", () => {
  const before = complete();
  const broken = routes("r", { routes: [{ match: { safeRegex: { regex: "(" } }, route: { cluster: "c" } }] });
  const { config, errors } = applyResponse(before, {
    typeUrl: typeUrls.routes,
    changed: [broken, routes("other")],
    removed: [],
  });
  assert.deepEqual([...errors.keys()], ["r"]);
  assert.match(errors.get("r")!, /^virtual_hosts\[0\]\.routes\[0\]\.match\.safe_regex\.regex: /);
  assert.equal(config.routes.get("r"), before.routes.get("r"));
  const dump = JSON.stringify(configDump(config, { bootstrap: {}, startedAt: new Date(0) }));
  assert.ok(dump.includes(`"details":${JSON.stringify(errors.get("r"))}`));
  const mended = apply(config, ["routes", routes("r")]);
  assert.equal(mended.received.routes.refused.size, 0);
});

test("a filter of a type that its slot does not take, or that nobody knows, is refused", () => {
  const before = complete();
  const refusal = (changed: XdsResource) =>
    applyResponse(before, { typeUrl: typeUrls.extensionConfig, changed: [changed], removed: [] }).errors.get(
      "plugin",
    );
  assert.match(refusal(extension(CorsSchema))!, /has type URL .*Cors but expect .*Composite/);
  assert.match(refusal(extension(ListenerSchema))!, /Didn't find a registered implementation for 'plugin'/);
});

test("bytes that are no message are refused", () => {
  const changed = [{ ...routes("r"), value: new Uint8Array([255]) }];
  const { errors } = applyResponse(complete(), { typeUrl: typeUrls.routes, changed, removed: [] });
  assert.match(errors.get("r")!, /Unable to parse envoy\.config\.route\.v3\.RouteConfiguration/);
});

test("listeners and clusters that are removed are gone, with what they referred to", () => {
  const without = applyResponse(complete(), {
    typeUrl: typeUrls.listener,
    changed: [],
    removed: ["l"],
  }).config;
  assert.deepEqual([without.listeners.size, without.routes.size, without.extensionConfigs.size], [0, 0, 0]);
  const bare = applyResponse(without, { typeUrl: typeUrls.cluster, changed: [], removed: ["c"] }).config;
  assert.deepEqual([bare.clusters.size, bare.received.endpoints.accepted.size], [0, 0]);
});

test("routes and endpoints that the server says are gone stay while they are referred to; a plugin does not", () => {
  const before = complete();
  for (const [type, name] of [
    ["routes", "r"],
    ["endpoints", "c"],
  ] as const) {
    const { config } = applyResponse(before, { typeUrl: typeUrls[type], changed: [], removed: [name] });
    assert.deepEqual([config.routes, config.clusters], [before.routes, before.clusters]);
  }
  const { config } = applyResponse(before, {
    typeUrl: typeUrls.extensionConfig,
    changed: [],
    removed: ["plugin"],
  });
  assert.deepEqual([config.extensionConfigs.size, config.listeners.size], [0, 1]);
});

test("a dump has Envoy's sections, and no private key", () => {
  const config = apply(complete(), ["listener", listener({ tls: true })], ["secret", certificate]);
  const { configs } = configDump(config, {
    bootstrap: {},
    startedAt: new Date(0),
    includeEndpoints: true,
  }) as {
    configs: JsonObject[];
  };
  assert.deepEqual(
    configs.map((section) => String(section["@type"]).replace("type.googleapis.com/envoy.admin.v3.", "")),
    "BootstrapConfigDump ClustersConfigDump EcdsConfigDump EndpointsConfigDump ListenersConfigDump ScopedRoutesConfigDump RoutesConfigDump SecretsConfigDump".split(
      " ",
    ),
  );
  const text = JSON.stringify(configs);
  assert.ok(!text.includes(Buffer.from(keyText).toString("base64")) && !text.includes("PRIVATE"));
  assert.match(text, /"dynamic_active_secrets"/);
});
