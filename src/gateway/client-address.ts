import { isIP } from "node:net";
import type { HeaderMap } from "../proxy-wasm/header-map.ts";
import type { HttpConnection } from "./gateway-config.ts";

/**
 * Who the client is by `x-forwarded-for`, as accepted headers have it; undefined where it is the one that is connected.
 * As Envoy: proxies that are trusted are skipped from the end, and what is no address counts as nothing.
 */
export function forwardedClient(headers: HeaderMap, http: HttpConnection): string | undefined {
  const { useRemoteAddress, xffTrustedHops, skipXffAppend } = http;
  if (useRemoteAddress && xffTrustedHops === 0) return undefined;
  const forwardedFor = headers.get("x-forwarded-for");
  if (forwardedFor === undefined) return undefined;
  const own = useRemoteAddress && skipXffAppend ? 0 : 1;
  const address =
    forwardedFor
      .split(",")
      .at(-(xffTrustedHops + own))
      ?.trim() ?? "";
  return isIP(address) === 0 ? undefined : address;
}
