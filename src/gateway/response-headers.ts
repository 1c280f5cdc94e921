import type { HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { HttpConnection } from "./gateway-config.ts";
import { appendVia } from "./request-headers.ts";

const removed: ReadonlySet<string> = new Set([
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "x-envoy-overloaded-response",
]);

/** The lines that a client gets: without what belongs to the upstream's connection, with date and server as Envoy sets them. */
export function responseLines(headers: HeaderMap, http: HttpConnection, isUpgrade: boolean): HeaderLine[] {
  const lines: HeaderLine[] = [];
  let hasDate = false;
  let serverAt = -1;
  for (const line of headers.lines) {
    const name = line[0];
    if (name === ":status" || removed.has(name)) continue;
    if (!isUpgrade && (name === "connection" || name === "upgrade")) continue;
    if (name === "date") hasDate = true;
    else if (name === "server") {
      if (serverAt >= 0) continue;
      serverAt = lines.length;
    }
    lines.push(line);
  }
  if (!hasDate) lines.push(["date", currentDate()]);
  if (http.serverHeader === "overwrite" && serverAt >= 0) lines[serverAt] = ["server", http.serverName];
  else if (http.serverHeader !== "pass-through" && serverAt < 0) lines.push(["server", http.serverName]);
  if (http.via !== "") appendVia(lines, http.via);
  return lines;
}

let date = "";
let dateSecond = 0;

function currentDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    date = new Date(second * 1000).toUTCString();
  }
  return date;
}
