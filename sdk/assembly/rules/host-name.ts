import { lowerCase } from "../ascii";

/** Cuts a host at its last colon, unless that stands inside the brackets of an IPv6 address. */
export function withoutPort(host: string): string {
  const colon = host.lastIndexOf(":");
  return colon < 0 || host.lastIndexOf("]") > colon ? host : host.substring(0, colon);
}

/** A host as one name, however it is spelled: in lower case, and without the dot that may end it. */
export function oneSpelling(host: string): string {
  const name = lowerCase(host);
  return name.length > 1 && name.endsWith(".") ? name.substring(0, name.length - 1) : name;
}
