import type { HeaderLine } from "../proxy-wasm/header-map.ts";

/** As Envoy: beyond it a request is refused. */
const maxNominated = 10;
const maxTeLength = 256;
/** About the connection itself, and taken away elsewhere. */
const ofConnection: ReadonlySet<string> = new Set([
  "close",
  "http2-settings",
  "keep-alive",
  "upgrade",
  "connection",
]);
/** Without these nobody would know where a request comes from. */
const kept: ReadonlySet<string> = new Set(["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"]);

/**
 * Takes the headers away that `Connection` names, which are for the next hop only (RFC 9110 section 7.6.1). Undefined if it
 * names what may not be taken away, or too much.
 */
export function removeNominated(lines: readonly HeaderLine[]): readonly HeaderLine[] | undefined {
  const value = lines.flatMap(([name, text]) => (name === "connection" ? [text] : [])).join(",");
  const names = value.split(",").filter((name) => name !== "");
  if (names.length >= maxNominated) return undefined;
  const nominated = new Set(
    names.map((name) => name.trim().toLowerCase()).filter((name) => !ofConnection.has(name)),
  );
  for (const name of nominated) if (kept.has(name) || name.startsWith(":")) return undefined;
  if (nominated.has("te") && lines.some(([name, text]) => name === "te" && text.length >= maxTeLength))
    return undefined;
  // What is left of TE is only `trailers`, and that may go on.
  nominated.delete("te");
  return nominated.size === 0 ? lines : lines.filter(([name]) => !nominated.has(name));
}
