import { create } from "@bufbuild/protobuf";
import {
  type Gateway,
  GatewaySchema,
  type Server,
  ServerSchema,
  ServerTLSSettings_TLSmode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import type { IstioConfig } from "../istio/config.ts";
import {
  clusterIdAnnotation,
  credentialName,
  fullName,
  gatewayName,
  hostAnnotation,
  joinName,
} from "./config-names.ts";
import type { ConvertOptions } from "./convert-options.ts";
import type { Certificates } from "./ingress-certificates.ts";
import type { RoutesByHost } from "./ingress-routes.ts";
import { type AcceptedIngress, type IngressScope, report } from "./ingress-scope.ts";

/** The Ingresses that have a say in a host, by host, in their order. */
type OwnersByHost = ReadonlyMap<string, readonly AcceptedIngress[]>;

interface Credential {
  readonly name: string;
  readonly from: AcceptedIngress;
}

/** One Gateway for each host: HTTP always, HTTPS where an Ingress has a usable certificate for exactly that host. */
export function buildGateways(
  accepted: readonly AcceptedIngress[],
  routes: RoutesByHost,
  certificates: Certificates,
  scope: IngressScope,
): readonly IstioConfig<"Gateway">[] {
  const owners = findOwners(accepted, routes);
  for (const from of accepted) warnOfIdleTls(from, owners, scope);
  return [...owners].map(([host, list]) => ({
    kind: "Gateway",
    namespace: scope.options.systemNamespace,
    name: gatewayName(host),
    annotations: { [clusterIdAnnotation]: scope.options.clusterId, [hostAnnotation]: host },
    spec: buildGateway(host, list, certificates, scope),
  }));
}

/**
 * Unlike Higress: a default backend makes a Gateway for `*`. Higress makes Gateways for the hosts of rules only, and its
 * default backends are out of reach until some Ingress has a rule without host.
 */
function findOwners(accepted: readonly AcceptedIngress[], routes: RoutesByHost): OwnersByHost {
  const owners = new Map<string, AcceptedIngress[]>();
  const onAllHosts = new Set(routes.get("*")?.map((route) => route.from));
  for (const from of accepted) {
    const hosts = new Set(from.rules.map((rule) => rule.host));
    if (onAllHosts.has(from)) hosts.add("*");
    for (const host of hosts) {
      const list = owners.get(host);
      if (list) list.push(from);
      else owners.set(host, [from]);
    }
  }
  return owners;
}

function buildGateway(
  host: string,
  owners: readonly AcceptedIngress[],
  certificates: Certificates,
  scope: IngressScope,
): Gateway {
  const { gatewaySelector } = scope.options;
  const servers = [buildHttpServer(host, owners, scope.options)];
  const credential = findCredential(host, owners, certificates, scope);
  if (credential !== undefined) servers.push(buildHttpsServer(host, credential, scope.options));
  return create(GatewaySchema, {
    servers,
    selector: gatewaySelector.key ? { [gatewaySelector.key]: gatewaySelector.value } : {},
  });
}

/**
 * Unlike Higress: `ssl-redirect` holds for a whole host and answers 301. Higress puts a 308 redirect on the route, which
 * answers requests that came by HTTPS as well. As there, the annotation alone decides: what is to be encrypted is not
 * served in the clear because a certificate is missing.
 */
function buildHttpServer(host: string, owners: readonly AcceptedIngress[], options: ConvertOptions): Server {
  const redirect = owners.some(({ httpsRedirect }) => httpsRedirect);
  return buildServer("HTTP", options.gatewayHttpPort, host, options, {
    tls: redirect ? { httpsRedirect: true } : undefined,
  });
}

function buildHttpsServer(host: string, credential: Credential, options: ConvertOptions): Server {
  return buildServer("HTTPS", options.gatewayHttpsPort, host, options, {
    tls: { mode: ServerTLSSettings_TLSmode.SIMPLE, credentialName: credential.name },
  });
}

function buildServer(
  protocol: "HTTP" | "HTTPS",
  number: number,
  host: string,
  { clusterId, gatewayBind }: ConvertOptions,
  { tls }: { tls?: { httpsRedirect?: boolean; mode?: ServerTLSSettings_TLSmode; credentialName?: string } },
): Server {
  const name = joinName(protocol.toLowerCase(), String(number), "ingress", clusterId);
  return create(ServerSchema, { port: { number, protocol, name }, bind: gatewayBind, hosts: [host], tls });
}

/**
 * The first usable certificate for a host. Without one there is no HTTPS server at all: one with a credential that does
 * not exist would keep the whole listener waiting for it.
 */
function findCredential(
  host: string,
  owners: readonly AcceptedIngress[],
  certificates: Certificates,
  scope: IngressScope,
): Credential | undefined {
  let chosen: Credential | undefined;
  for (const from of owners) {
    for (const [index, { secretName = "" }] of (from.ingress.spec.tls ?? []).entries()) {
      const config = certificates.get(`${from.ingress.metadata.namespace}/${secretName}`);
      if (!config || !tlsHosts(from, index).includes(host)) continue;
      const name = credentialName(scope.options.clusterId, config.namespace, config.name);
      chosen ??= { name, from };
      if (chosen.name !== name) warnOfSecondCredential(host, from, index, chosen, scope);
    }
  }
  return chosen;
}

/** A tls entry without hosts is for `*`, as in Higress: it is no wildcard over the hosts of the rules. */
function tlsHosts({ ingress }: AcceptedIngress, index: number): readonly string[] {
  const hosts = ingress.spec.tls?.[index]?.hosts ?? [];
  return hosts.length === 0 ? ["*"] : hosts;
}

function warnOfSecondCredential(
  host: string,
  from: AcceptedIngress,
  index: number,
  chosen: Credential,
  scope: IngressScope,
): void {
  report(scope, from.ingress, {
    severity: "warning",
    code: "DUPLICATE_ROUTE",
    path: ["spec", "tls", index, "secretName"],
    message: `host ${host} already has another certificate from Ingress ${fullName(chosen.from.ingress)}; this one is not used for it`,
    hint: "use the same Secret in both places",
  });
}

function warnOfIdleTls(from: AcceptedIngress, owners: OwnersByHost, scope: IngressScope): void {
  for (const index of (from.ingress.spec.tls ?? []).keys()) {
    const hosts = tlsHosts(from, index);
    if (hosts.some((host) => owners.get(host)?.includes(from))) continue;
    report(scope, from.ingress, {
      severity: "warning",
      code: "INVALID_VALUE",
      path: ["spec", "tls", index],
      message: `tls entry is for ${hosts.join(", ")}, which is no host of a rule of this Ingress; it has no effect`,
      hint: "write in tls.hosts the same host as in the rule; wildcards and entries without hosts match no other host",
    });
  }
}
