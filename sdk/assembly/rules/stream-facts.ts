import { requestHeaders } from "../headers";
import { clusterName, routeName } from "../renamed-property";

/** What rules look at in the current stream, each asked from the proxy only when a rule needs it. Null: not known. */
export class StreamFacts {
  /** The request's host without its port. */
  host(): string | null {
    const authority = requestHeaders.get(":authority");
    return authority === null ? null : stripPort(authority);
  }

  route(): string | null {
    return routeName.read();
  }

  cluster(): string | null {
    return clusterName.read();
  }
}

/** Cuts a host at its last colon, unless that stands inside the brackets of an IPv6 address. */
function stripPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon < 0 || host.lastIndexOf("]") > colon ? host : host.substring(0, colon);
}
