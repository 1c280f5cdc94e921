/** Names that Envoy had until 1.32, and under `xds` since. Higress' plugins use the former. */
const renamed: ReadonlySet<string> = new Set([
  "node",
  "cluster_name",
  "cluster_metadata",
  "listener_direction",
  "listener_metadata",
  "route_name",
  "route_metadata",
  "upstream_host_metadata",
]);

/** A property's path by Envoy's names of today. */
export function canonicalPath(path: readonly string[]): readonly string[] {
  if (renamed.has(path[0] ?? "")) return ["xds", ...path];
  return path[0] === "connection_id" ? ["connection", "id", ...path.slice(1)] : path;
}
