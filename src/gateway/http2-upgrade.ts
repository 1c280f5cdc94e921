import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";

/** An upgrade of HTTP/1 as HTTP/2 has it: an extended CONNECT (RFC 8441). As Envoy, whether or not the upstream said that it takes one. */
export function toConnectRequest(headers: HeaderMap): HeaderMap {
  const lines: HeaderLine[] = [];
  for (const line of headers.lines) {
    const [name] = line;
    if (name === ":method") lines.push([":method", "CONNECT"]);
    else if (name !== "upgrade" && name !== "connection" && name !== "content-length") lines.push(line);
  }
  const request = new HeaderMap(lines);
  request.add(":protocol", headers.get("upgrade") ?? "");
  return request;
}

/** The answer to it, as HTTP/1 has it. */
export function toSwitchResponse(headers: HeaderMap, upgrade: string): void {
  if (headers.get(":status") !== "200") return;
  const rest = headers.lines.filter(([name]) => name !== ":status");
  headers.setLines([[":status", "101"], ["upgrade", upgrade], ["connection", "upgrade"], ...rest]);
}
