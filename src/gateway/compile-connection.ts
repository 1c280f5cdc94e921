import { BlockList, isIP } from "node:net";
import type { CidrRange } from "../gen/envoy/config/core/v3/address_pb.ts";
import { HttpProtocolOptions_HeadersWithUnderscoresAction as Underscores } from "../gen/envoy/config/core/v3/protocol_pb.ts";
import {
  HttpConnectionManager_CodecType as CodecType,
  HttpConnectionManager_PathWithEscapedSlashesAction as EscapedSlashes,
  HttpConnectionManager_ForwardClientCertDetails as ForwardClientCert,
  type HttpConnectionManager,
  HttpConnectionManager_ServerHeaderTransformation as ServerHeader,
} from "../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { compileAccessLog } from "./compile-access-log.ts";
import { compileHttpFilters } from "./compile-filters.ts";
import { compileRoutes } from "./compile-routes.ts";
import { requireAds } from "./config-source.ts";
import { durationMs } from "./duration.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { refuse, within, withinEach } from "./refused-config.ts";

const codecs: Readonly<Record<CodecType, HttpConnection["codec"] | undefined>> = {
  [CodecType.AUTO]: "auto",
  [CodecType.HTTP1]: "http1",
  [CodecType.HTTP2]: "http2",
  [CodecType.HTTP3]: undefined,
};

const escapedSlashes: Readonly<Record<EscapedSlashes, HttpConnection["escapedSlashes"]>> = {
  [EscapedSlashes.IMPLEMENTATION_SPECIFIC_DEFAULT]: "keep",
  [EscapedSlashes.KEEP_UNCHANGED]: "keep",
  [EscapedSlashes.REJECT_REQUEST]: "reject",
  [EscapedSlashes.UNESCAPE_AND_REDIRECT]: "unescape-redirect",
  [EscapedSlashes.UNESCAPE_AND_FORWARD]: "unescape-forward",
};

const serverHeaders: Readonly<Record<ServerHeader, HttpConnection["serverHeader"]>> = {
  [ServerHeader.OVERWRITE]: "overwrite",
  [ServerHeader.APPEND_IF_ABSENT]: "append-if-absent",
  [ServerHeader.PASS_THROUGH]: "pass-through",
};

const forwardClientCert: Readonly<Record<ForwardClientCert, HttpConnection["forwardClientCertificate"]>> = {
  [ForwardClientCert.SANITIZE]: "sanitize",
  [ForwardClientCert.FORWARD_ONLY]: "forward-only",
  [ForwardClientCert.APPEND_FORWARD]: "append",
  [ForwardClientCert.SANITIZE_SET]: "sanitize-set",
  [ForwardClientCert.ALWAYS_FORWARD_ONLY]: "always",
};

const underscores: Readonly<Record<Underscores, HttpConnection["underscoreHeaders"]>> = {
  [Underscores.ALLOW]: "allow",
  [Underscores.REJECT_REQUEST]: "reject",
  [Underscores.DROP_HEADER]: "drop",
};

// Unlike Envoy: 16 and 24 MiB there. A client that sends faster than it is read may make us keep as much.
const defaultStreamWindowBytes = 1024 * 1024;
const defaultConnectionWindowBytes = 2 * 1024 * 1024;

/** Compiles an HTTP connection manager, with Envoy's defaults. */
export function compileConnection(from: HttpConnectionManager): HttpConnection {
  if (from.statPrefix === "") refuse("stat_prefix", "value length must be at least 1 characters");
  refuseUnsupported(from);
  return {
    statPrefix: from.statPrefix,
    codec: codecs[from.codecType] ?? refuse("codec_type", "HTTP3 is not supported"),
    routes: compileRouteSource(from),
    filters: compileHttpFilters(from.httpFilters),
    ...headersOf(from),
    ...limitsOf(from),
    normalizePath: from.normalizePath ?? false,
    mergeSlashes: from.mergeSlashes,
    stripPort: stripPortOf(from),
    escapedSlashes: escapedSlashes[from.pathWithEscapedSlashesAction],
    upgradeTypes: from.upgradeConfigs
      .filter(({ enabled }) => enabled ?? true)
      .map(({ upgradeType }) => upgradeType.toLowerCase()),
    acceptHttp10: from.httpProtocolOptions?.acceptHttp10 ?? false,
    http10Host: from.httpProtocolOptions?.defaultHostForHttp10 ?? "",
    enableTrailers: from.httpProtocolOptions?.enableTrailers ?? false,
    proxy100Continue: from.proxy100Continue,
    accessLogs: withinEach("access_log", from.accessLog, compileAccessLog),
  };
}

function refuseUnsupported(from: HttpConnectionManager): void {
  if (from.localReplyConfig) refuse("local_reply_config", "is not supported");
  if (from.originalIpDetectionExtensions.length > 0)
    refuse("original_ip_detection_extensions", "is not supported");
  if (from.earlyHeaderMutationExtensions.length > 0)
    refuse("early_header_mutation_extensions", "is not supported");
  if (from.upgradeConfigs.some(({ filters }) => filters.length > 0))
    refuse("upgrade_configs", "filters of their own are not supported");
}

function stripPortOf({
  stripMatchingHostPort,
  stripPortMode: by,
}: HttpConnectionManager): HttpConnection["stripPort"] {
  if (by.case === "stripAnyHostPort" && by.value) return "any";
  return stripMatchingHostPort ? "matching" : "none";
}

function compileRouteSource({ routeSpecifier: by }: HttpConnectionManager): HttpConnection["routes"] {
  switch (by.case) {
    case "rds":
      return within("rds", () => {
        requireAds(by.value.configSource);
        if (by.value.routeConfigName === "")
          refuse("route_config_name", "value length must be at least 1 characters");
        return { kind: "name", name: by.value.routeConfigName };
      });
    case "routeConfig":
      return within("route_config", () => ({ kind: "table", table: compileRoutes(by.value) }));
    default:
      return refuse("route_specifier", by.case === undefined ? "is required" : `${by.case} is not supported`);
  }
}

function headersOf(from: HttpConnectionManager) {
  const details = from.setCurrentClientCertDetails;
  return {
    useRemoteAddress: from.useRemoteAddress ?? false,
    xffTrustedHops: from.xffNumTrustedHops,
    skipXffAppend: from.skipXffAppend,
    internalAddresses: within("internal_address_config", () =>
      compileAddresses(from.internalAddressConfig?.cidrRanges ?? []),
    ),
    serverName: from.serverName || "envoy",
    serverHeader: serverHeaders[from.serverHeaderTransformation],
    via: from.via,
    generateRequestId: from.generateRequestId ?? true,
    preserveRequestId: from.preserveExternalRequestId,
    requestIdInResponse: from.alwaysSetRequestIdInResponse,
    forwardClientCertificate: forwardClientCert[from.forwardClientCertDetails],
    clientCertificateDetails: {
      subject: details?.subject ?? false,
      cert: details?.cert ?? false,
      chain: details?.chain ?? false,
      dns: details?.dns ?? false,
      uri: details?.uri ?? false,
    },
  };
}

/** Undefined where there are none. */
function compileAddresses(ranges: readonly CidrRange[]): BlockList | undefined {
  if (ranges.length === 0) return undefined;
  const list = new BlockList();
  withinEach("cidr_ranges", ranges, ({ addressPrefix, prefixLen = 0 }) => {
    const family = isIP(addressPrefix);
    if (family === 0) refuse("address_prefix", `malformed IP address: ${addressPrefix}`);
    list.addSubnet(addressPrefix, prefixLen, family === 6 ? "ipv6" : "ipv4");
  });
  return list;
}

function limitsOf(from: HttpConnectionManager) {
  const { commonHttpProtocolOptions: common, http2ProtocolOptions: http2 } = from;
  return {
    streamIdleTimeoutMs: durationMs(from.streamIdleTimeout, 300_000),
    requestTimeoutMs: durationMs(from.requestTimeout, 0),
    requestHeadersTimeoutMs: durationMs(from.requestHeadersTimeout, 0),
    idleTimeoutMs: durationMs(common?.idleTimeout, 3_600_000),
    maxConnectionDurationMs: durationMs(common?.maxConnectionDuration, 0),
    maxStreamDurationMs: durationMs(common?.maxStreamDuration, 0),
    drainTimeoutMs: durationMs(from.drainTimeout, 5000),
    delayedCloseTimeoutMs: durationMs(from.delayedCloseTimeout, 1000),
    maxRequestHeadersKb: from.maxRequestHeadersKb ?? 60,
    maxHeadersCount: common?.maxHeadersCount ?? 100,
    maxRequestsPerConnection: common?.maxRequestsPerConnection ?? 0,
    maxConcurrentStreams: http2?.maxConcurrentStreams ?? 1024,
    streamWindowBytes: http2?.initialStreamWindowSize ?? defaultStreamWindowBytes,
    connectionWindowBytes: http2?.initialConnectionWindowSize ?? defaultConnectionWindowBytes,
    allowConnect: http2?.allowConnect ?? false,
    underscoreHeaders: underscores[common?.headersWithUnderscoresAction ?? Underscores.ALLOW],
  };
}
