import { create, fromJson, type JsonValue } from "@bufbuild/protobuf";
import { anyPack, StringValueSchema } from "@bufbuild/protobuf/wkt";
import type { Cluster, Endpoint } from "../../src/gateway/cluster-config.ts";
import { compileRoutes } from "../../src/gateway/compile-routes.ts";
import type {
  FilterConfig,
  GatewayConfig,
  HttpConnection,
  HttpFilterSlot,
  Listener,
  ReceivedType,
} from "../../src/gateway/gateway-config.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { WasmSchema } from "../../src/gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { FailurePolicy } from "../../src/gen/envoy/extensions/wasm/v3/wasm_pb.ts";

/** A gateway's configuration, put together in a test. */
export interface GatewayParts {
  /** Routes as in a virtual host of Envoy's JSON; a catch-all to cluster `up` if they are left out. */
  readonly routes?: JsonValue;
  readonly clusters?: readonly Cluster[];
  readonly filters?: readonly HttpFilterSlot[];
  readonly extensionConfigs?: Readonly<Record<string, FilterConfig>>;
  readonly http?: Partial<HttpConnection>;
  readonly listener?: Partial<Listener>;
}

const noneReceived: ReceivedType<never> = {
  accepted: new Map(),
  refused: new Map(),
  missing: new Set(),
  version: "",
};

/** A configuration with one plaintext listener on any free port of 127.0.0.1. */
export function gatewayConfig(parts: GatewayParts = {}): GatewayConfig {
  const listener: Listener = {
    name: "test",
    address: "127.0.0.1",
    port: 0,
    bufferLimitBytes: 1024 * 1024,
    chains: [
      {
        name: "",
        serverNames: [],
        transportProtocol: "",
        tls: undefined,
        http: httpConnection(parts),
      },
    ],
    defaultChain: undefined,
    reusePort: false,
    bindsToPort: true,
    ...parts.listener,
  };
  return {
    received: {
      clusters: noneReceived,
      endpoints: noneReceived,
      listeners: noneReceived,
      routes: noneReceived,
      secrets: noneReceived,
      extensionConfigs: noneReceived,
    },
    listeners: new Map([[listener.name, listener]]),
    warmingListeners: new Map(),
    clusters: new Map((parts.clusters ?? []).map((cluster) => [cluster.name, cluster])),
    warmingClusters: new Map(),
    routes: new Map(),
    secrets: new Map(),
    extensionConfigs: new Map(Object.entries(parts.extensionConfigs ?? {})),
  };
}

const catchAll: JsonValue = [{ name: "all", match: { prefix: "/" }, route: { cluster: "up" } }];

export function httpConnection({ routes = catchAll, filters = [], http = {} }: GatewayParts): HttpConnection {
  const table = compileRoutes(
    fromJson(RouteConfigurationSchema, {
      name: "routes",
      virtual_hosts: [{ name: "any", domains: ["*"], routes }],
    }),
  );
  return {
    statPrefix: "test",
    codec: "auto",
    routes: { kind: "table", table },
    filters,
    useRemoteAddress: true,
    xffTrustedHops: 0,
    skipXffAppend: false,
    internalAddresses: undefined,
    normalizePath: true,
    mergeSlashes: false,
    escapedSlashes: "keep",
    upgradeTypes: ["websocket"],
    serverName: "envoy",
    serverHeader: "overwrite",
    via: "",
    generateRequestId: true,
    preserveRequestId: false,
    requestIdInResponse: false,
    forwardClientCertificate: "sanitize",
    clientCertificateDetails: { subject: false, cert: false, chain: false, dns: false, uri: false },
    streamIdleTimeoutMs: 0,
    requestTimeoutMs: 0,
    requestHeadersTimeoutMs: 0,
    idleTimeoutMs: 3_600_000,
    maxConnectionDurationMs: 0,
    maxStreamDurationMs: 0,
    drainTimeoutMs: 5000,
    delayedCloseTimeoutMs: 1000,
    maxRequestHeadersKb: 60,
    maxHeadersCount: 100,
    maxRequestsPerConnection: 0,
    maxConcurrentStreams: 100,
    streamWindowBytes: 1024 * 1024,
    connectionWindowBytes: 2 * 1024 * 1024,
    allowConnect: false,
    underscoreHeaders: "allow",
    stripPort: "none",
    acceptHttp10: false,
    http10Host: "",
    enableTrailers: false,
    proxy100Continue: false,
    accessLogs: [],
    ...http,
  };
}

const limits = {
  maxConnections: 1024,
  maxPendingRequests: 1024,
  maxRequests: 1024,
  maxRetries: 3,
  retryBudget: undefined,
};

/** A cluster of endpoints on 127.0.0.1. */
export function cluster(name: string, ports: readonly number[], changes: Partial<Cluster> = {}): Cluster {
  const endpoints = ports.map(
    (port): Endpoint => ({ address: "127.0.0.1", port, hostname: "", weight: 1, health: "healthy" }),
  );
  return {
    name,
    statName: name,
    discovery: "static",
    assignmentName: name,
    endpoints: {
      name,
      localities: [{ priority: 0, region: "", zone: "", subZone: "", weight: 1, endpoints }],
      overprovisioningFactor: 140,
    },
    lbPolicy: "round_robin",
    choiceCount: 2,
    localityWeighted: false,
    panicThreshold: 50,
    connectTimeoutMs: 5000,
    protocol: "http1",
    idleTimeoutMs: 3_600_000,
    maxRequestsPerConnection: 0,
    enableTrailers: false,
    maxConnectionDurationMs: 0,
    maxConcurrentStreams: 100,
    limits,
    highPriorityLimits: limits,
    outlierDetection: undefined,
    tls: undefined,
    dnsRefreshMs: 5000,
    respectDnsTtl: false,
    dnsFamily: "auto",
    bufferLimitBytes: 1024 * 1024,
    ...changes,
  };
}

/** A place of the filters that ECDS fills. */
export function slot(name: string): HttpFilterSlot {
  return {
    kind: "discovery",
    name,
    typeUrls: [],
    defaultConfig: undefined,
    applyDefaultWithoutWarming: false,
    disabled: false,
  };
}

export interface WasmOptions {
  readonly configuration?: string;
  readonly failurePolicy?: FailurePolicy;
}

/** A Wasm filter with a module's file, or its bytes. */
export function wasmFilter(name: string, code: string | Uint8Array, options: WasmOptions = {}): FilterConfig {
  const specifier =
    typeof code === "string"
      ? ({ case: "filename", value: code } as const)
      : ({ case: "inlineBytes", value: code } as const);
  const { configuration, failurePolicy = FailurePolicy.FAIL_CLOSED } = options;
  const config = create(WasmSchema, {
    config: {
      name,
      failurePolicy,
      configuration:
        configuration === undefined
          ? undefined
          : anyPack(StringValueSchema, create(StringValueSchema, { value: configuration })),
      vm: { case: "vmConfig", value: { code: { specifier: { case: "local", value: { specifier } } } } },
    },
  });
  return { kind: "wasm", name, config };
}
