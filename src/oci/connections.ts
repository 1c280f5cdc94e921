import { lookup } from "node:dns";
import type { LookupFunction } from "node:net";
import { rootCertificates } from "node:tls";
import { Agent, type Dispatcher, EnvHttpProxyAgent } from "undici";
import { type AddressKind, addressKind, hostKind, literalAddress, mayLeadTo } from "./address-kind.ts";
import { isLoopback } from "./loopback.ts";

export interface ConnectionOptions {
  /** By host, with port unless it is 443: certificate authorities in PEM that are trusted there beside Node's own. */
  readonly authorities?: ReadonlyMap<string, string>;
  /** Hosts whose certificates are not looked at. */
  readonly unverifiedHosts?: readonly string[];
  /** Lets redirects and token servers be at any address. */
  readonly allowPrivateRedirects?: boolean;
}

/** How servers are connected to; connections are kept for later requests. */
export interface Connections {
  /**
   * For a request to a URL. `from` is the registry that led there, if it is not the registry itself.
   * @throws RefusedAddress here or when it connects
   */
  dispatcherTo(url: URL, from: URL): Promise<Dispatcher>;
  /** True for a host, as references write it, about whose TLS something was said. */
  hasTlsSettings(registry: string): boolean;
}

/** A registry has led to an address that is nearer to this machine than its own. */
export class RefusedAddress extends Error {
  constructor(address: string, kind: AddressKind) {
    super(`${address} is a ${kind} address; if that is meant, give --allow-private-redirects`);
    this.name = "RefusedAddress";
  }
}

export function createConnections(options: ConnectionOptions = {}): Connections {
  const { allowPrivateRedirects = false } = options;
  const authorities = new Map([...(options.authorities ?? [])].map(([host, pem]) => [keyOf(host), pem]));
  const unverified = new Set((options.unverifiedHosts ?? []).map(keyOf));
  const hasTlsSettings = (host: string) => authorities.has(keyOf(host)) || unverified.has(keyOf(host));
  const dispatchers = new Map<string, Dispatcher>();

  const dispatcherFor = (url: URL, from: AddressKind | undefined) => {
    const isDirect = isLoopback(url.hostname);
    // Connections that were made without a look at the address must not serve those who need one.
    const key = JSON.stringify([isDirect, hasTlsSettings(url.host) ? keyOf(url.host) : "", from ?? ""]);
    const known = dispatchers.get(key);
    if (known) return known;
    const tls = tlsOptions(authorities.get(keyOf(url.host)), unverified.has(keyOf(url.host)));
    const connect = { ...tls, ...(from !== undefined && { lookup: guardedLookup(from) }) };
    // Loopback is reached directly, whatever `HTTP_PROXY` says.
    const made = isDirect ? new Agent({ connect }) : new EnvHttpProxyAgent({ connect, requestTls: tls });
    dispatchers.set(key, made);
    return made;
  };

  return {
    hasTlsSettings,
    async dispatcherTo(url, from) {
      if (allowPrivateRedirects || url.hostname === from.hostname) return dispatcherFor(url, undefined);
      const kind = await hostKind(from);
      const literal = literalAddress(url);
      if (literal !== undefined) checkAddress(literal, kind);
      return dispatcherFor(url, kind);
    },
  };
}

function tlsOptions(authority: string | undefined, isUnverified: boolean) {
  return {
    ...(authority !== undefined && { ca: [...rootCertificates, authority] }),
    ...(isUnverified && { rejectUnauthorized: false }),
  };
}

/** Looks at the very addresses that are connected to, so that a name cannot mean another one a moment later. */
function guardedLookup(from: AddressKind): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error, []);
      try {
        for (const { address } of addresses) checkAddress(address, from);
      } catch (refused) {
        return callback(refused as Error, []);
      }
      const [first] = addresses;
      if (options.all || first === undefined) callback(null, addresses);
      else callback(null, first.address, first.family);
    });
  };
}

function checkAddress(address: string, from: AddressKind): void {
  const kind = addressKind(address);
  if (!mayLeadTo(from, kind)) throw new RefusedAddress(address, kind);
}

/** As URLs write hosts: lower case, and without TLS's own port. */
function keyOf(host: string): string {
  return URL.canParse(`https://${host}`) ? new URL(`https://${host}`).host : host;
}
