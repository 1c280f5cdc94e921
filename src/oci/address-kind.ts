import { lookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";

/** Where an address leads, from far to near; at the last two there is nothing that a registry would send anybody to. */
export type AddressKind = "public" | "private" | "loopback" | "link-local" | "metadata";

const kinds: readonly AddressKind[] = ["public", "private", "loopback", "link-local", "metadata"];

const networks: readonly (readonly [AddressKind, readonly string[]])[] = [
  // Alibaba Cloud's and AWS's; the others are link-local.
  ["metadata", ["100.100.100.200/32", "169.254.169.254/32", "fd00:ec2::254/128"]],
  ["link-local", ["169.254.0.0/16", "fe80::/10"]],
  ["loopback", ["127.0.0.0/8", "0.0.0.0/8", "::1/128", "::/128"]],
  ["private", ["10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"]],
];

const lists = networks.map(([kind, ranges]) => [kind, blockList(ranges)] as const);

/** What kind of address an IPv4 or IPv6 address is; IPv4 within IPv6 is what it is alone. */
export function addressKind(address: string): AddressKind {
  const family = isIP(address) === 6 ? "ipv6" : "ipv4";
  return lists.find(([, list]) => list.check(address, family))?.[0] ?? "public";
}

/** True if who is reached at one kind of address may lead on to another: no nearer than it is itself. */
export function mayLeadTo(from: AddressKind, to: AddressKind): boolean {
  return to !== "link-local" && to !== "metadata" && rank(to) <= rank(from);
}

/** The address that a URL names by itself; undefined for a name. */
export function literalAddress({ hostname }: URL): string | undefined {
  const bare = hostname.replace(/^\[|\]$/g, "");
  return isIP(bare) === 0 ? undefined : bare;
}

/** The kind of the farthest address of a URL's host. A name that cannot be resolved counts as public. */
export async function hostKind(url: URL): Promise<AddressKind> {
  const literal = literalAddress(url);
  if (literal !== undefined) return addressKind(literal);
  const found = await lookup(url.hostname, { all: true }).catch(() => []);
  const ranks = found.map(({ address }) => rank(addressKind(address)));
  return kinds[Math.min(...ranks)] ?? "public";
}

function rank(kind: AddressKind): number {
  return kinds.indexOf(kind);
}

function blockList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = "", prefix] = range.split("/");
    list.addSubnet(address, Number(prefix), isIP(address) === 6 ? "ipv6" : "ipv4");
  }
  return list;
}
