import type { JsonValue } from "@bufbuild/protobuf";
import { jsonPage, type Page } from "../http-server.ts";
import type { IstioConfigSet } from "../istio/config.ts";
import { holdsSecretsAnnotation } from "../istio/mcp.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { resourceStates } from "../xds/resource-states.ts";
import type { ClientStatus, XdsServer } from "../xds/server.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import type { SubscriptionStatus } from "../xds/subscription.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { wasmEnv } from "../xds/wasm-env.ts";
import { extensionConfigName } from "./extension-configs.ts";

/** istiod's names of the types in `/debug/syncz`. */
const synczNames = {
  cluster: typeUrls.cluster,
  listener: typeUrls.listener,
  route: typeUrls.routes,
  endpoint: typeUrls.endpoints,
  extensionconfig: typeUrls.extensionConfig,
} as const;

/** `/debug/syncz`: for each gateway the nonces that were sent and accepted, in istiod's JSON. */
export function synczPage(server: XdsServer): Page {
  return jsonPage(server.clients().map(syncOf));
}

function syncOf({ node, identity, subscriptions }: ClientStatus) {
  const byType = new Map(subscriptions.map((subscription) => [subscription.typeUrl, subscription]));
  const nonces = Object.entries(synczNames).flatMap(([name, typeUrl]) => {
    const { nonceSent = "", nonceAcked = "" } = byType.get(typeUrl) ?? {};
    return [[`${name}_sent`, nonceSent] as const, [`${name}_acked`, nonceAcked] as const];
  });
  const metadata = (node.metadata ?? {}) as Record<string, JsonValue>;
  return {
    proxy: node.id.split("~")[2] ?? node.id,
    proxy_type: node.id.split("~")[0],
    cluster_id: metadata.CLUSTER_ID ?? "",
    istio_version: metadata.ISTIO_VERSION ?? "",
    service_account: identity && `${identity.namespace}/${identity.serviceAccount}`,
    ...Object.fromEntries(nonces),
    resources: Object.fromEntries(
      subscriptions.map((subscription) => [subscription.typeUrl, statusOf(subscription)]),
    ),
  };
}

function statusOf({ nonceSent, nonceAcked, lastError }: SubscriptionStatus) {
  return { sent: nonceSent, acked: nonceAcked, lastError };
}

/** `/debug/ecdsz`: for each gateway its plugins, whether each is in effect, and if not, why. */
export function ecdszPage(server: XdsServer, proxyId: string | null): Page {
  const clients = server.clients().filter(({ node }) => matches(node.id, proxyId));
  return jsonPage(
    clients.map(({ node, subscriptions, modules }) => ({
      proxy: node.id,
      plugins: pluginsOf(subscriptions).map((state) => ({ ...state, module: modules.get(state.name) })),
    })),
  );
}

function pluginsOf(subscriptions: readonly SubscriptionStatus[]) {
  const ecds = subscriptions.find(({ typeUrl }) => typeUrl === typeUrls.extensionConfig);
  return ecds ? resourceStates(ecds) : [];
}

/** `/debug/config_dump?proxyID=ID[&types=ecds]`: what a gateway was sent, in the shape of Envoy's own dump. Holds no secrets. */
export function configDumpPage(
  server: XdsServer,
  config: IstioConfigSet | undefined,
  query: URLSearchParams,
): Page {
  const proxyId = query.get("proxyID");
  const client = server.clients().find(({ node }) => proxyId !== null && matches(node.id, proxyId));
  if (!client) {
    const known = server.clients().map(({ node }) => node.id.split("~")[2] ?? node.id);
    return jsonPage(
      {
        error: `no gateway ${JSON.stringify(proxyId ?? "")} is connected; there is ${known.join(", ") || "none"}`,
      },
      404,
    );
  }
  const secretive = new Set(
    (config?.WasmPlugin ?? [])
      .filter(({ annotations }) => annotations?.[holdsSecretsAnnotation])
      .map(extensionConfigName),
  );
  const types = query.get("types")?.split(",");
  const dumps = dumpShapes.filter(({ short }) => !types || types.includes(short));
  return jsonPage({ configs: dumps.map((shape) => dumpOf(client, shape, secretive)) });
}

const dumpShapes = [
  {
    short: "cds",
    typeUrl: typeUrls.cluster,
    dump: "ClustersConfigDump",
    list: "dynamic_active_clusters",
    item: "cluster",
  },
  {
    short: "eds",
    typeUrl: typeUrls.endpoints,
    dump: "EndpointsConfigDump",
    list: "dynamic_endpoint_configs",
    item: "endpoint_config",
  },
  {
    short: "lds",
    typeUrl: typeUrls.listener,
    dump: "ListenersConfigDump",
    list: "dynamic_listeners",
    item: "listener",
  },
  {
    short: "rds",
    typeUrl: typeUrls.routes,
    dump: "RoutesConfigDump",
    list: "dynamic_route_configs",
    item: "route_config",
  },
  {
    short: "ecds",
    typeUrl: typeUrls.extensionConfig,
    dump: "EcdsConfigDump",
    list: "ecds_filters",
    item: "ecds_filter",
  },
] as const;

function dumpOf(
  { subscriptions }: ClientStatus,
  { typeUrl, dump, list, item }: (typeof dumpShapes)[number],
  secretive: ReadonlySet<string>,
) {
  const subscription = subscriptions.find((other) => other.typeUrl === typeUrl);
  const sent = [...(subscription?.synced?.resources.values() ?? [])].filter(
    ({ name }) => subscription?.names?.has(name) ?? true,
  );
  const entries = sent.map((resource) => {
    const body = redacted(withType(resource), secretive);
    if (dump !== "ListenersConfigDump") return { version_info: resource.version, [item]: body };
    return { name: resource.name, active_state: { version_info: resource.version, listener: body } };
  });
  return { "@type": `type.googleapis.com/envoy.admin.v3.${dump}`, [list]: entries };
}

function withType(resource: XdsResource): JsonValue {
  return { "@type": resource.typeUrl, ...(resourceJson(resource, true) as object) } as JsonValue;
}

/** Where a template can put a value from a Secret. */
const secretiveKeys: readonly string[] = ["configuration", "key_values", "root_id", "uri"];

/**
 * Leaves out registry credentials, and of a plugin that holds values from Secrets whatever can be one, wherever its
 * filter is.
 */
function redacted(value: JsonValue, secretive: ReadonlySet<string>, holdsSecrets = false): JsonValue {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => redacted(item, secretive, holdsSecrets));
  const holds = holdsSecrets || (typeof value.name === "string" && secretive.has(value.name));
  const entries = Object.entries(value).map(([key, item]) => {
    const secret = key === wasmEnv.pullSecret || (holds && secretiveKeys.includes(key));
    return [key, secret ? "<Redacted>" : redacted(item, secretive, holds)] as const;
  });
  return Object.fromEntries(entries);
}

function matches(nodeId: string, proxyId: string | null): boolean {
  return proxyId === null || nodeId === proxyId || nodeId.split("~")[2] === proxyId;
}
