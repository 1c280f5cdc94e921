import type { OutgoingHttpHeaders } from "node:http2";
import { type HeaderLine, HeaderMap, joinRepeated } from "../proxy-wasm/header-map.ts";

/** What belongs to a connection of HTTP/1 and means nothing, or breaks the stream, in HTTP/2. */
const ofConnection: ReadonlySet<string> = new Set([
  "connection",
  "host",
  "http2-settings",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** Node sends these once only; a second value goes behind a comma. */
const single: ReadonlySet<string> = new Set(
  `:status :method :authority :scheme :path :protocol access-control-allow-credentials access-control-max-age
  access-control-request-method age authorization content-encoding content-language content-length content-location content-md5
  content-range content-type date dnt etag expires from host if-match if-modified-since if-none-match if-range
  if-unmodified-since last-modified location max-forwards proxy-authorization range referer retry-after tk
  upgrade-insecure-requests user-agent x-content-type-options`.split(/\s+/),
);

/** Headers as Node's HTTP/2 takes them: names once, with all their values in order. */
export function toHttp2Headers(headers: HeaderMap): OutgoingHttpHeaders {
  const record: Record<string, string | string[]> = Object.create(null);
  for (const [name, value] of headers.lines) {
    if (ofConnection.has(name)) continue;
    const known = record[name];
    if (known === undefined) record[name] = value;
    else if (Array.isArray(known)) known.push(value);
    else record[name] = single.has(name) ? `${known},${value}` : [known, value];
  }
  return record;
}

/** Lines from Node's list of names and values. */
export function fromHttp2Headers(raw: readonly string[]): HeaderMap {
  const lines: HeaderLine[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) lines.push([raw[i]!, raw[i + 1]!]);
  return new HeaderMap(joinRepeated(lines));
}
