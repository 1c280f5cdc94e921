const mayNeed = /[\\%]|\/\.|^\*/;
const unreserved = /^[A-Za-z0-9._~-]$/;

/** A path with dot segments resolved and unreserved characters decoded, its query as it is; undefined if it is broken. */
export function normalizePath(target: string): string | undefined {
  const query = target.indexOf("?");
  const path = query < 0 ? target : target.slice(0, query);
  if (!mayNeed.test(path)) return target;
  if (!path.startsWith("/")) return target;
  // As Envoy: who takes parameters off segments would find one of dots.
  const plain = path.replaceAll("\\", "/").replace(/\/(\.\.?);[^/]*/g, "/$1");
  const decoded = decodeUnreserved(plain);
  if (decoded === undefined) return undefined;
  return removeDotSegments(decoded) + (query < 0 ? "" : target.slice(query));
}

function decodeUnreserved(path: string): string | undefined {
  if (/%00/.test(path)) return undefined;
  return path.replace(/%([0-9a-fA-F]{2})/g, (all, hex: string) => {
    const character = String.fromCharCode(Number.parseInt(hex, 16));
    return unreserved.test(character) ? character : all;
  });
}

function removeDotSegments(path: string): string {
  const kept: string[] = [];
  const segments = path.slice(1).split("/");
  for (const [i, segment] of segments.entries()) {
    const isLast = i === segments.length - 1;
    if (segment === "..") kept.pop();
    if (segment !== "." && segment !== "..") kept.push(segment);
    else if (isLast) kept.push("");
  }
  return `/${kept.join("/")}`;
}
