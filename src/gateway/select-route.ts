import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import { withoutQuery } from "./path-match.ts";
import type {
  ForwardAction,
  HttpsAction,
  RouteRequest,
  RouteTable,
  SelectedRoute,
  VirtualHost,
} from "./route-table.ts";

const toHttps: HttpsAction = { kind: "https" };

/** Chooses a request's route, as Envoy does; undefined where there is none and the answer is 404. */
export function selectRoute(table: RouteTable, request: RouteRequest): SelectedRoute | undefined {
  const { headers } = request;
  const virtualHost = table.findVirtualHost(headers.get(":authority") ?? "");
  if (!virtualHost) return undefined;
  // As Envoy: without it there is no route, also where a filter has taken it away.
  const scheme = headers.get("x-forwarded-proto");
  if (!scheme) return undefined;
  if (scheme !== "https" && requiresTls(virtualHost, headers)) {
    return { table, virtualHost, route: undefined, action: toHttps, cluster: "", weighted: undefined };
  }
  const fullPath = headers.get(":path");
  if (fullPath === undefined) return undefined;
  const path = withoutQuery(fullPath);
  for (const route of virtualHost.routes) {
    if (!route.matches(request, path)) continue;
    const { action } = route;
    const target = action.kind === "forward" ? selectCluster(action, request) : noCluster;
    return { table, virtualHost, route, action, ...target };
  }
  return undefined;
}

function requiresTls({ requireTls }: VirtualHost, headers: HeaderMap): boolean {
  if (requireTls === "external-only") return headers.get("x-envoy-internal") !== "true";
  return requireTls === "all";
}

type Target = Pick<SelectedRoute, "cluster" | "weighted">;

const noCluster: Target = { cluster: "", weighted: undefined };

function selectCluster({ target }: ForwardAction, { headers, random }: RouteRequest): Target {
  if (target.kind === "cluster") return { cluster: target.name, weighted: undefined };
  if (target.kind === "header") return { cluster: headers.get(target.header) ?? "", weighted: undefined };
  const chosen = numberIn(headers, target.randomHeader, target.total) ?? random % target.total;
  let end = 0;
  for (const weighted of target.clusters) {
    end += weighted.weight;
    if (chosen >= end) continue;
    const cluster = weighted.name ?? headers.get(weighted.header ?? "") ?? "";
    return { cluster, weighted };
  }
  return noCluster;
}

const uint64 = /^[ \t\n\v\f\r]*\+?(\d{1,20})[ \t\n\v\f\r]*$/;

/** The number in a header that is there once, below `total`. */
function numberIn(headers: HeaderMap, name: string | undefined, total: number): number | undefined {
  if (name === undefined) return undefined;
  const values = headers.lines.filter(([each]) => each === name);
  const digits = values.length === 1 ? uint64.exec(values[0]![1])?.[1] : undefined;
  if (digits === undefined) return undefined;
  const value = BigInt(digits);
  return value === BigInt.asUintN(64, value) ? Number(value % BigInt(total)) : undefined;
}
