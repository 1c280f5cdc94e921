import type { HeaderLine, HeaderMap } from "./header-map.ts";
import type { Direction } from "./stream-host.ts";

// Unlike Envoy: pseudo headers that are none are refused here, by their names; there a codec finds them, and says nothing of them.
const token = /^(?::(?:authority|method|path|protocol|scheme|status)|[!#$%&'*+.^_`|~0-9a-z-]+)$/;
/** Names that were looked at before. */
const known = new Set<string>();
const maxKnown = 1000;
const maxKnownLength = 64;

/** Says whether a line can be sent as a header: one that cannot would become two, or none. */
export function isHeader(name: string, value: string): boolean {
  return isName(name) && !breaksLine(value);
}

/** Says whether all of these lines can be sent as headers. */
export function areHeaders(lines: readonly HeaderLine[]): boolean {
  for (const line of lines) if (!isHeader(line[0], line[1])) return false;
  return true;
}

function isName(name: string): boolean {
  if (known.has(name)) return true;
  if (!token.test(name)) return false;
  if (known.size < maxKnown && name.length <= maxKnownLength) known.add(name);
  return true;
}

/** Each of these searches costs a third of what an expression does. */
function breaksLine(value: string): boolean {
  return value.includes("\n") || value.includes("\r") || value.includes("\0");
}

/** What of a map cannot be sent, or is missing, as Envoy says it. Lines without a name are dropped, as there. */
export function findHeaderFault(direction: Direction, headers: HeaderMap): string | undefined {
  if (headers.isSuspect) {
    headers.remove("");
    for (const [name, value] of headers.lines) {
      if (!isName(name)) return `invalid header name: ${name}`;
      if (breaksLine(value)) return `invalid header value for: ${name}`;
    }
  }
  const required = direction === "request" ? ":method" : ":status";
  const value = headers.get(required);
  const isThere = value !== undefined && (direction === "request" || /^[1-9]\d\d$/.test(value));
  return isThere ? undefined : `missing required header: ${required}`;
}
