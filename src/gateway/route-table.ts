import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { CorsRules } from "./filters/cors.ts";
import type { Fault } from "./filters/fault.ts";
import type { RateLimit } from "./filters/local-ratelimit.ts";
import type { RbacTest } from "./filters/rbac.ts";
import type { Format } from "./format.ts";

/** What a route is chosen by. Headers include the pseudo-headers; names are lower-case. */
export interface RouteRequest {
  readonly headers: HeaderMap;
  /** Of this stream, from 0 to 2^31-1: the same one chooses the same of weighted clusters. */
  readonly random: number;
}

/** A route configuration, compiled. */
export interface RouteTable {
  readonly name: string;
  readonly virtualHosts: readonly VirtualHost[];
  /** The virtual host of a request's `:authority`. */
  findVirtualHost(authority: string): VirtualHost | undefined;
  readonly headers: HeaderRules;
  /** Header changes of the table come last rather than first: `most_specific_header_mutations_wins`. */
  readonly mostSpecificWins: boolean;
  readonly perFilter: PerFilter;
}

export interface VirtualHost {
  readonly name: string;
  readonly domains: readonly string[];
  readonly routes: readonly Route[];
  readonly requireTls: "none" | "external-only" | "all";
  readonly headers: HeaderRules;
  readonly retryPolicy: RetryPolicy | undefined;
  readonly includeAttemptCount: boolean;
  readonly includeAttemptCountInResponse: boolean;
  readonly perFilter: PerFilter;
}

export interface Route {
  readonly name: string;
  matches(request: RouteRequest, path: string): boolean;
  readonly action: RouteAction;
  readonly headers: HeaderRules;
  readonly perFilter: PerFilter;
}

/** Configurations of filters by filter name, of a table, virtual host, route or weighted cluster. */
export type PerFilter = ReadonlyMap<string, PerFilterConfig>;

export type PerFilterConfig =
  | { readonly kind: "disabled" }
  /** It runs, with the configuration that it has otherwise. */
  | { readonly kind: "enabled" }
  | { readonly kind: "cors"; readonly config: CorsRules }
  /** Without rules everything passes. */
  | { readonly kind: "rbac"; readonly test: RbacTest | undefined }
  | { readonly kind: "local_ratelimit"; readonly config: RateLimit | undefined }
  | { readonly kind: "fault"; readonly config: Fault };

export type RouteAction = ForwardAction | RedirectAction | DirectResponseAction | HttpsAction;

/** 301 to the same URL with https, where a virtual host requires TLS. */
export interface HttpsAction {
  readonly kind: "https";
}

export interface DirectResponseAction {
  readonly kind: "direct";
  readonly status: number;
  readonly body: Uint8Array;
}

export interface RedirectAction {
  readonly kind: "redirect";
  readonly status: 301 | 302 | 303 | 307 | 308;
  /** Empty, 0 or undefined where it stays as the request's. */
  readonly scheme: string;
  readonly host: string;
  readonly port: number;
  readonly path: string;
  readonly prefixRewrite: string | undefined;
  readonly regexRewrite: RegexRewrite | undefined;
  readonly stripQuery: boolean;
  /** What a prefix rewrite replaces of a path. */
  matchedLength(path: string): number | undefined;
}

export interface ForwardAction {
  readonly kind: "forward";
  readonly target:
    | { readonly kind: "cluster"; readonly name: string }
    | { readonly kind: "header"; readonly header: string }
    | {
        readonly kind: "weighted";
        readonly total: number;
        readonly clusters: readonly WeightedCluster[];
        /** The number in this header chooses, where it has one. */
        readonly randomHeader: string | undefined;
      };
  /** The status where the cluster does not exist. */
  readonly clusterNotFoundStatus: 500 | 503 | 404;
  readonly prefixRewrite: string | undefined;
  readonly regexRewrite: RegexRewrite | undefined;
  matchedLength(path: string): number | undefined;
  readonly hostRewrite: HostRewrite | undefined;
  readonly appendXForwardedHost: boolean;
  /** Milliseconds; 0 for no limit. */
  readonly timeoutMs: number;
  /** undefined: the connection manager's holds. */
  readonly idleTimeoutMs: number | undefined;
  readonly maxStreamDurationMs: number | undefined;
  /** The longest that a `grpc-timeout` may ask for, 0 for any; undefined: what it asks for does not count. */
  readonly grpcTimeoutMaxMs: number | undefined;
  /** Taken off what it asks for, so that the client hears of it in time. */
  readonly grpcTimeoutOffsetMs: number;
  readonly retryPolicy: RetryPolicy | undefined;
  readonly priority: "default" | "high";
  /** By lower-case upgrade type; what is not here is as the connection manager says. */
  readonly upgrades: ReadonlyMap<string, boolean>;
}

export interface WeightedCluster {
  /** undefined where a header names it. */
  readonly name: string | undefined;
  readonly header: string | undefined;
  readonly weight: number;
  readonly hostRewrite: string | undefined;
  readonly headers: HeaderRules;
  readonly perFilter: PerFilter;
}

export interface RegexRewrite {
  replace(path: string): string;
}

export type HostRewrite =
  | { readonly kind: "literal"; readonly value: string }
  /** The endpoint's hostname. */
  | { readonly kind: "auto" }
  | { readonly kind: "header"; readonly header: string }
  /** Of the path, without its query. */
  | { readonly kind: "path"; replace(path: string): string };

/** Retries as Envoy's router does them. Times in milliseconds. */
export interface RetryPolicy {
  /** Conditions: `5xx`, `gateway-error`, `reset`, `connect-failure`, … */
  readonly on: ReadonlySet<string>;
  readonly statusCodes: ReadonlySet<number>;
  /** Responses with such headers are tried again (with `retriable-headers`). */
  matchesHeaders(response: HeaderMap): boolean;
  /** Only such requests are tried again. */
  matchesRequest(request: HeaderMap): boolean;
  readonly retries: number;
  readonly perTryTimeoutMs: number;
  readonly perTryIdleTimeoutMs: number;
  readonly baseIntervalMs: number;
  readonly maxIntervalMs: number;
  /** How often another host is chosen where a host was tried before. */
  readonly hostSelectionAttempts: number;
  readonly avoidPreviousHosts: boolean;
}

/** What is added to and removed from headers, in order. */
export interface HeaderRules {
  readonly request: HeaderEdits;
  readonly response: HeaderEdits;
}

export interface HeaderEdits {
  readonly add: readonly HeaderAddition[];
  /** Lower-case. */
  readonly remove: readonly string[];
}

export interface HeaderAddition {
  /** Lower-case. */
  readonly name: string;
  readonly value: Format;
  readonly action: "append-or-add" | "add-if-absent" | "overwrite-or-add" | "overwrite";
  readonly keepEmpty: boolean;
}

/** The route of a request. `route` is undefined where all of a virtual host is redirected to https. */
export interface SelectedRoute {
  readonly table: RouteTable;
  readonly virtualHost: VirtualHost;
  readonly route: Route | undefined;
  readonly action: RouteAction;
  /** The cluster that was chosen; empty where the action forwards to none (or a header names none). */
  readonly cluster: string;
  readonly weighted: WeightedCluster | undefined;
}
