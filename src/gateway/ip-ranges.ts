import { BlockList, isIP } from "node:net";
import type { CidrRange } from "../gen/envoy/config/core/v3/address_pb.ts";
import { refuse } from "./refused-config.ts";

/** Whether an IP address is in a range. */
export type AddressTest = (address: string) => boolean;

/** Compiles Envoy's CidrRange. */
export function compileRange({ addressPrefix, prefixLen = 0 }: CidrRange): AddressTest {
  const version = isIP(addressPrefix);
  const bits = version === 4 ? 32 : 128;
  if (version === 0 || prefixLen > bits)
    return refuse("", `no range of IP addresses: ${addressPrefix}/${prefixLen}`);
  const list = new BlockList();
  const family = version === 4 ? "ipv4" : "ipv6";
  list.addSubnet(addressPrefix, prefixLen, family);
  return (address) => isIP(address) === version && list.check(address, family);
}
