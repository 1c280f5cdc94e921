import { isIP } from "node:net";
import type { Endpoint } from "./cluster-config.ts";

export function hostPort(address: string, port: number): string {
  return isIP(address) === 6 ? `[${address}]:${port}` : `${address}:${port}`;
}

const known = new WeakMap<Endpoint, string>();

/** `ip:port`, or a pipe's path. */
export function addressOf(endpoint: Endpoint): string {
  const text = known.get(endpoint);
  if (text !== undefined) return text;
  const { address, port } = endpoint;
  const made = port === 0 ? address : hostPort(address, port);
  known.set(endpoint, made);
  return made;
}
