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

const known = new Map<string, readonly string[]>();
const maxKnown = 1000;
const maxKnownLength = 200;

/**
 * The parts of a property's path: text between NULs. One NUL at the end is no further part, as in Envoy. A path that was
 * asked for before is the same array, which is what the functions below remember their results by.
 */
export function splitPropertyPath(path: string): readonly string[] {
  const found = known.get(path);
  if (found) return found;
  const parts = path === "" ? [] : (path.endsWith("\0") ? path.slice(0, -1) : path).split("\0");
  if (known.size < maxKnown && path.length <= maxKnownLength) known.set(path, parts);
  return parts;
}

/** A property's path by Envoy's names of today. */
export const canonicalPath = remembered((path): readonly string[] => {
  if (renamed.has(path[0] ?? "")) return ["xds", ...path];
  return path[0] === "connection_id" ? ["connection", "id", ...path.slice(1)] : path;
});

/** A path as people write it: `request.path`. */
export const dottedName = remembered((path) => path.join("."));

/** What a property is a part of. */
export const parentPath = remembered((path): readonly string[] => path.slice(0, -1));

function remembered<T>(make: (path: readonly string[]) => T): (path: readonly string[]) => T {
  const results = new WeakMap<readonly string[], T>();
  return (path) => {
    const result = results.get(path);
    if (result !== undefined) return result;
    const made = make(path);
    results.set(path, made);
    return made;
  };
}
