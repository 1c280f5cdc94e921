import type { HeaderMap } from "./header-map.ts";
import type { Direction } from "./stream-host.ts";

// Unlike Envoy: pseudo headers that are none are refused here, by their names; there a codec finds them, and says nothing of them.
const token = /^(?::(?:authority|method|path|protocol|scheme|status)|[!#$%&'*+.^_`|~0-9a-z-]+)$/;
const breaking = /[\0\r\n]/;

/** Says whether a line can be sent as a header: one that cannot would become two, or none. */
export function isHeader(name: string, value: string): boolean {
  return token.test(name) && !breaking.test(value);
}

/** What of a map cannot be sent, or is missing, as Envoy says it. Lines without a name are dropped, as there. */
export function findHeaderFault(direction: Direction, headers: HeaderMap): string | undefined {
  if (headers.isSuspect) {
    headers.remove("");
    for (const [name, value] of headers.lines) {
      if (!token.test(name)) return `invalid header name: ${name}`;
      if (breaking.test(value)) return `invalid header value for: ${name}`;
    }
  }
  const required = direction === "request" ? ":method" : ":status";
  const value = headers.get(required);
  const isThere = value !== undefined && (direction === "request" || /^[1-9]\d\d$/.test(value));
  return isThere ? undefined : `missing required header: ${required}`;
}
