import type { BlockList } from "node:net";
import type { Composite } from "../gen/envoy/extensions/filters/http/composite/v3/composite_pb.ts";
import type { Cors } from "../gen/envoy/extensions/filters/http/cors/v3/cors_pb.ts";
import type { Router } from "../gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import type { Wasm } from "../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import type { XdsResource } from "../xds/snapshot.ts";
import type { Cluster, Endpoints } from "./cluster-config.ts";
import type { Fault } from "./filters/fault.ts";
import type { RateLimit } from "./filters/local-ratelimit.ts";
import type { RbacTest } from "./filters/rbac.ts";
import type { Format } from "./format.ts";
import type { LogTest } from "./log-filter.ts";
import type { AlternativeName } from "./peer-certificate.ts";
import type { RouteTable } from "./route-table.ts";
import type { TextTest } from "./string-match.ts";

/** A resource as it was received, and what was made of it. While it does not change it stays the same object. */
export interface Received<T> extends XdsResource {
  readonly receivedAt: Date;
  readonly config: T;
}

/** A resource that was refused last; the version before it, if there is one, stays in effect. */
export interface Refused extends XdsResource {
  readonly refusedAt: Date;
  readonly reason: string;
}

/** The received resources of one type, by name. */
export interface ReceivedType<T> {
  readonly accepted: ReadonlyMap<string, Received<T>>;
  readonly refused: ReadonlyMap<string, Refused>;
  /** Names that the server said do not exist: nobody waits for them. */
  readonly missing: ReadonlySet<string>;
  /** The system version of the last response that was taken. */
  readonly version: string;
}

/**
 * Everything a gateway runs by, as one immutable value. What was received is by type; `listeners` and `clusters` are what
 * is in effect of it: a new version waits in `warming…` until what it refers to is there, the one before serves meanwhile.
 */
export interface GatewayConfig {
  readonly received: {
    readonly clusters: ReceivedType<ClusterSource>;
    readonly endpoints: ReceivedType<Endpoints>;
    readonly listeners: ReceivedType<Listener>;
    readonly routes: ReceivedType<RouteTable>;
    readonly secrets: ReceivedType<TlsSecret>;
    readonly extensionConfigs: ReceivedType<FilterConfig>;
  };
  readonly listeners: ReadonlyMap<string, Listener>;
  readonly warmingListeners: ReadonlyMap<string, Listener>;
  readonly clusters: ReadonlyMap<string, Cluster>;
  readonly warmingClusters: ReadonlyMap<string, ClusterSource>;
  /** By name: what listeners refer to. An entry keeps its identity while it does not change. */
  readonly routes: ReadonlyMap<string, RouteTable>;
  readonly secrets: ReadonlyMap<string, TlsSecret>;
  /** By slot name, with filters of a chain in order. A slot's default stands in the listener. */
  readonly extensionConfigs: ReadonlyMap<string, FilterConfig>;
}

/** A cluster without its endpoints, where those come by EDS. */
export type ClusterSource = Cluster;

export interface Listener {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Per connection and direction, in bytes. */
  readonly bufferLimitBytes: number;
  readonly chains: readonly FilterChain[];
  readonly defaultChain: FilterChain | undefined;
  /** Accept several listeners (or programs) at the port. */
  readonly reusePort: boolean;
  /** `bind_to_port`. */
  readonly bindsToPort: boolean;
}

/** A filter chain of a listener: chosen by the server name of the TLS hello, one of TLS or all in plaintext. */
export interface FilterChain {
  readonly name: string;
  /** Lower-case names, `*.suffix` among them; empty for any. */
  readonly serverNames: readonly string[];
  /** `tls` or `raw_buffer`; empty for any. */
  readonly transportProtocol: string;
  readonly tls: DownstreamTls | undefined;
  readonly http: HttpConnection;
}

export interface DownstreamTls {
  /** Names of secrets with certificate and key, by SDS. */
  readonly certificateNames: readonly string[];
  /** Certificates that the listener holds itself. */
  readonly certificates: readonly TlsCertificate[];
  readonly validation: TlsValidation | undefined;
  readonly requireClientCertificate: boolean;
  readonly alpn: readonly string[];
  readonly minVersion: TlsVersion | undefined;
  readonly maxVersion: TlsVersion | undefined;
  readonly cipherSuites: readonly string[];
}

export type TlsVersion = "TLSv1" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3";

/** PEM. Never to be printed. */
export interface TlsCertificate {
  readonly kind: "certificate";
  readonly chain: Uint8Array;
  readonly privateKey: Uint8Array;
  readonly password: Uint8Array | undefined;
}

/** Whom to trust: PEM certificates of authorities, inline or by SDS. */
export interface TlsValidation {
  readonly kind: "validation";
  /** SDS. */
  readonly secretName: string | undefined;
  readonly trustedCa: Uint8Array | undefined;
  /** Exact names of which the peer's certificate must have one; empty for any. */
  readonly subjectAltNames: readonly string[];
  /** The same, and names that are not exact: of clients. */
  readonly alternativeNames: readonly AlternativeNameTest[];
  /** SHA-256 of which the certificate must have one, in lower-case hexadecimal; of its public key, in base64. */
  readonly hashes: readonly string[];
  readonly spkiHashes: readonly string[];
}

/** A name that a certificate may be for. */
export interface AlternativeNameTest {
  /** Of any kind if it is left out. */
  readonly type: AlternativeName["type"] | undefined;
  readonly matches: TextTest;
}

export type TlsSecret = TlsCertificate | TlsValidation;

/** The HTTP connection manager of a filter chain. */
export interface HttpConnection {
  readonly statPrefix: string;
  readonly codec: "auto" | "http1" | "http2";
  readonly routes:
    | { readonly kind: "name"; readonly name: string }
    | { readonly kind: "table"; readonly table: RouteTable };
  readonly filters: readonly HttpFilterSlot[];
  readonly useRemoteAddress: boolean;
  readonly xffTrustedHops: number;
  readonly skipXffAppend: boolean;
  /** Clients whose `x-envoy-…` headers are taken; undefined for none. */
  readonly internalAddresses: BlockList | undefined;
  readonly normalizePath: boolean;
  readonly mergeSlashes: boolean;
  /** What is done with `%2F` and `%5C` in a path. */
  readonly escapedSlashes: "keep" | "reject" | "unescape-redirect" | "unescape-forward";
  /** Lower-case. */
  readonly upgradeTypes: readonly string[];
  readonly serverName: string;
  readonly serverHeader: "overwrite" | "append-if-absent" | "pass-through";
  readonly via: string;
  readonly generateRequestId: boolean;
  readonly preserveRequestId: boolean;
  /** The client is told the request's id. */
  readonly requestIdInResponse: boolean;
  readonly forwardClientCertificate: "sanitize" | "forward-only" | "append" | "sanitize-set" | "always";
  /** Which parts of the client's certificate are told upstream. */
  readonly clientCertificateDetails: {
    readonly subject: boolean;
    readonly cert: boolean;
    readonly chain: boolean;
    readonly dns: boolean;
    readonly uri: boolean;
  };
  /** Milliseconds; 0 for no limit. */
  readonly streamIdleTimeoutMs: number;
  readonly requestTimeoutMs: number;
  readonly requestHeadersTimeoutMs: number;
  readonly idleTimeoutMs: number;
  readonly maxConnectionDurationMs: number;
  readonly maxStreamDurationMs: number;
  readonly drainTimeoutMs: number;
  readonly delayedCloseTimeoutMs: number;
  readonly maxRequestHeadersKb: number;
  readonly maxHeadersCount: number;
  /** 0 for no limit. */
  readonly maxRequestsPerConnection: number;
  readonly maxConcurrentStreams: number;
  /** What a client may send before it is read, in bytes: on a stream, and on a connection, of HTTP/2. */
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  /** CONNECT with `:protocol` (RFC 8441): WebSocket over HTTP/2. */
  readonly allowConnect: boolean;
  /** What is done with headers whose names hold an underscore. */
  readonly underscoreHeaders: "allow" | "reject" | "drop";
  /** Whose port is taken out of `:authority`: nobody's, that of the listener, or any. */
  readonly stripPort: "none" | "matching" | "any";
  /** HTTP/1.0 is answered rather than refused with 426. */
  readonly acceptHttp10: boolean;
  /** Of requests of HTTP/1.0 that name none; empty for none. */
  readonly http10Host: string;
  /** HTTP/1 has trailers: without, as in Envoy, they are dropped. HTTP/2 always has. */
  readonly enableTrailers: boolean;
  readonly proxy100Continue: boolean;
  readonly accessLogs: readonly AccessLog[];
}

/** One place of the HTTP filters, in their order. The last is the router. */
export type HttpFilterSlot =
  | {
      readonly kind: "inline";
      readonly name: string;
      readonly config: FilterConfig;
      /** Runs only where a route says so. */
      readonly disabled: boolean;
    }
  | {
      readonly kind: "discovery";
      /** Of the filter and of the ECDS resource. */
      readonly name: string;
      readonly typeUrls: readonly string[];
      readonly defaultConfig: FilterConfig | undefined;
      /** The listener does not wait for the resource. */
      readonly applyDefaultWithoutWarming: boolean;
      readonly disabled: boolean;
    };

/** A filter's configuration, decoded. `kind` follows from the type URL. */
export type FilterConfig =
  | { readonly kind: "wasm"; readonly name: string; readonly config: Wasm }
  /** Without rules everything passes. */
  | { readonly kind: "rbac"; readonly name: string; readonly test: RbacTest | undefined }
  | { readonly kind: "cors"; readonly name: string; readonly config: Cors }
  | { readonly kind: "local_ratelimit"; readonly name: string; readonly limit: RateLimit | undefined }
  | { readonly kind: "fault"; readonly name: string; readonly fault: Fault }
  /** Without a matcher it lets pass. */
  | { readonly kind: "composite"; readonly name: string; readonly config: Composite }
  | { readonly kind: "router"; readonly name: string; readonly config: Router }
  /** Filters in order; those that did not change keep their identity. Empty lets pass. */
  | { readonly kind: "chain"; readonly name: string; readonly filters: readonly FilterConfig[] };

/** An access log of a connection manager. */
export interface AccessLog {
  readonly to: { readonly kind: "file"; readonly path: string } | { readonly kind: "stdout" | "stderr" };
  readonly format: AccessLogFormat;
  /** Stands for values that are not there, in text. */
  readonly missing: string;
  /** Fields without a value are left out of objects. */
  readonly omitEmpty?: boolean;
  /** Only these streams; all if it is undefined. */
  readonly passes?: LogTest | undefined;
}

export type AccessLogFormat =
  /** A line, with its line break where it has one. */
  | { readonly kind: "text"; readonly format: Format }
  /** An object a line. A value that is one operator keeps its type. */
  | { readonly kind: "json"; readonly fields: JsonFormat };

/** By name, in the order in which it is written. */
export interface JsonFormat {
  readonly [name: string]: JsonFormatValue;
}

export type JsonFormatValue =
  | { readonly kind: "format"; readonly format: Format }
  | { readonly kind: "object"; readonly fields: JsonFormat }
  | { readonly kind: "list"; readonly items: readonly JsonFormatValue[] }
  | { readonly kind: "literal"; readonly value: string | number | boolean | null };
