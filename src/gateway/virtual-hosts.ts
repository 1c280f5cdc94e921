import { getOrCreate } from "../get-or-create.ts";
import { refuse } from "./refused-config.ts";
import { toHeader } from "./regex.ts";
import { lowerAscii } from "./string-match.ts";

interface WithDomains {
  readonly domains: readonly string[];
}

/** Virtual hosts by a part of the domain, the longest part first. */
type Wildcards<T> = readonly (readonly [length: number, hosts: ReadonlyMap<string, T>])[];

/**
 * Makes the search for the virtual host of an authority, in Envoy's order: the exact domain, the longest `*suffix`, the
 * longest `prefix*`, then `*`. A wildcard stands for at least one character.
 */
export function compileVirtualHosts<T extends WithDomains>(
  hosts: readonly T[],
  ignorePort: boolean,
): (authority: string) => T | undefined {
  const exact = new Map<string, T>();
  const suffixes = new Map<string, T>();
  const prefixes = new Map<string, T>();
  let fallback: T | undefined;
  for (const host of hosts) {
    for (const text of host.domains) {
      const domain = lowerAscii(toHeader(text));
      if (domain === "*") {
        if (fallback) refuse("virtual_hosts", "only a single wildcard domain is permitted");
        fallback = host;
      } else if (domain.startsWith("*")) addOnce(suffixes, domain.slice(1), host, text);
      else if (domain.endsWith("*")) addOnce(prefixes, domain.slice(0, -1), host, text);
      else addOnce(exact, domain, host, text);
    }
  }
  const bySuffix = byLength(suffixes);
  const byPrefix = byLength(prefixes);
  const onlyFallback = exact.size + suffixes.size + prefixes.size === 0;
  return (authority) => {
    if (onlyFallback) return fallback;
    if (authority === "") return undefined;
    const host = lowerAscii(ignorePort ? withoutPort(authority) : authority);
    return (
      exact.get(host) ??
      findLongest(bySuffix, host, (length) => host.slice(host.length - length)) ??
      findLongest(byPrefix, host, (length) => host.slice(0, length)) ??
      fallback
    );
  };
}

function addOnce<T>(map: Map<string, T>, key: string, host: T, domain: string): void {
  if (map.has(key)) {
    refuse(
      "virtual_hosts",
      `only unique values for domains are permitted; duplicate entry of domain ${domain}`,
    );
  }
  map.set(key, host);
}

function byLength<T>(parts: ReadonlyMap<string, T>): Wildcards<T> {
  const lengths = new Map<number, Map<string, T>>();
  for (const [part, host] of parts)
    getOrCreate(lengths, part.length, () => new Map<string, T>()).set(part, host);
  return [...lengths].sort(([a], [b]) => b - a);
}

function findLongest<T>(
  wildcards: Wildcards<T>,
  host: string,
  partOf: (length: number) => string,
): T | undefined {
  for (const [length, hosts] of wildcards) {
    const found = length < host.length ? hosts.get(partOf(length)) : undefined;
    if (found) return found;
  }
  return undefined;
}

/** An authority without its port; a colon within brackets is part of an IPv6 address. */
export function withoutPort(authority: string): string {
  const colon = authority.lastIndexOf(":");
  return colon < 0 || authority.lastIndexOf("]") > colon ? authority : authority.slice(0, colon);
}
