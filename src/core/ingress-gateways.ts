import { create } from "@bufbuild/protobuf";
import {
  GatewaySchema,
  type Server,
  ServerSchema,
  ServerTLSSettings_TLSmode,
} from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { buildIncrementally } from "../incremental.ts";
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
import { type AcceptedIngress, type Remarks, report } from "./ingress-scope.ts";
import { keepSame } from "./keep-unchanged.ts";

/** The Ingresses that have a say in a host, by host, in their order. */
type OwnersByHost = ReadonlyMap<string, readonly AcceptedIngress[]>;

interface Credential {
  readonly name: string;
  readonly from: AcceptedIngress;
}

/** What the Gateway of a host depends on besides the host. */
type GatewayParts = readonly [httpsRedirect: boolean, credential: string | undefined];

/**
 * One Gateway for each host: HTTP always, HTTPS where an Ingress has a usable certificate for exactly that host. The
 * Gateway of a host that nothing happened to since the last call is the same object.
 */
export function createGatewayBuilder(options: ConvertOptions) {
  const build = buildIncrementally(
    (host: string, parts: GatewayParts, before: IstioConfig<"Gateway"> | undefined) =>
      keepSame(GatewaySchema, before, buildGateway(host, parts, options)),
  );
  return (
    accepted: readonly AcceptedIngress[],
    routes: RoutesByHost,
    certificates: Certificates,
    remarks: Remarks,
  ): IstioConfig<"Gateway">[] => {
    const owners = findOwners(accepted, routes);
    for (const from of accepted) warnOfIdleTls(from, owners, remarks);
    return build(
      [...owners].map(([host, list]) => {
        const redirect = list.some(({ httpsRedirect }) => httpsRedirect);
        return [host, [redirect, findCredential(host, list, certificates, options, remarks)?.name]];
      }),
    );
  };
}

/**
 * Unlike Higress: a default backend makes a Gateway for `*`. Higress makes Gateways for the hosts of rules only, and its
 * default backends are out of reach until some Ingress has a rule without host.
 */
function findOwners(accepted: readonly AcceptedIngress[], routes: RoutesByHost): OwnersByHost {
  const owners = new Map<string, AcceptedIngress[]>();
  const onAllHosts = new Set(routes.get("*")?.map((route) => route.from));
  for (const from of accepted) {
    const all = onAllHosts.has(from) && !from.hosts.includes("*");
    for (const host of all ? [...from.hosts, "*"] : from.hosts) {
      const list = owners.get(host);
      if (list) list.push(from);
      else owners.set(host, [from]);
    }
  }
  return owners;
}

function buildGateway(
  host: string,
  [redirect, credential]: GatewayParts,
  options: ConvertOptions,
): IstioConfig<"Gateway"> {
  const { gatewaySelector, clusterId, systemNamespace } = options;
  const servers = [buildHttpServer(host, redirect, options)];
  if (credential !== undefined) servers.push(buildHttpsServer(host, credential, options));
  return {
    kind: "Gateway",
    namespace: systemNamespace,
    name: gatewayName(host),
    annotations: { [clusterIdAnnotation]: clusterId, [hostAnnotation]: host },
    spec: create(GatewaySchema, {
      servers,
      selector: gatewaySelector.key ? { [gatewaySelector.key]: gatewaySelector.value } : {},
    }),
  };
}

/**
 * Unlike Higress: `ssl-redirect` holds for a whole host and answers 301. Higress puts a 308 redirect on the route, which
 * answers requests that came by HTTPS as well. As there, the annotation alone decides: what is to be encrypted is not
 * served in the clear because a certificate is missing.
 */
function buildHttpServer(host: string, redirect: boolean, options: ConvertOptions): Server {
  return buildServer("HTTP", options.gatewayHttpPort, host, options, {
    tls: redirect ? { httpsRedirect: true } : undefined,
  });
}

function buildHttpsServer(host: string, credential: string, options: ConvertOptions): Server {
  return buildServer("HTTPS", options.gatewayHttpsPort, host, options, {
    tls: { mode: ServerTLSSettings_TLSmode.SIMPLE, credentialName: credential },
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
  { clusterId }: ConvertOptions,
  remarks: Remarks,
): Credential | undefined {
  let chosen: Credential | undefined;
  for (const from of owners) {
    for (const [index, { secretName = "" }] of (from.ingress.spec.tls ?? []).entries()) {
      const config = certificates.get(`${from.ingress.metadata.namespace}/${secretName}`);
      if (!config || !tlsHosts(from, index).includes(host)) continue;
      const name = credentialName(clusterId, config.namespace, config.name);
      chosen ??= { name, from };
      if (chosen.name !== name) warnOfSecondCredential(host, from, index, chosen, remarks);
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
  remarks: Remarks,
): void {
  report(remarks, from.ingress, {
    severity: "warning",
    code: "DUPLICATE_ROUTE",
    path: ["spec", "tls", index, "secretName"],
    message: `host ${host} already has another certificate from Ingress ${fullName(chosen.from.ingress)}; this one is not used for it`,
    hint: "use the same Secret in both places",
  });
}

function warnOfIdleTls(from: AcceptedIngress, owners: OwnersByHost, remarks: Remarks): void {
  for (const index of (from.ingress.spec.tls ?? []).keys()) {
    const hosts = tlsHosts(from, index);
    if (hosts.some((host) => owners.get(host)?.includes(from))) continue;
    report(remarks, from.ingress, {
      severity: "warning",
      code: "INVALID_VALUE",
      path: ["spec", "tls", index],
      message: `tls entry is for ${hosts.join(", ")}, which is no host of a rule of this Ingress; it has no effect`,
      hint: "write in tls.hosts the same host as in the rule; wildcards and entries without hosts match no other host",
    });
  }
}
