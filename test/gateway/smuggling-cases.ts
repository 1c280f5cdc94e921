/** A request as bytes. */
export interface RawCase {
  readonly name: string;
  readonly bytes: string;
  /** How many answers are expected; 1 if it is left out. */
  readonly answers?: number;
}

const post = (headers: string, body: string, version = "1.1") =>
  `POST /case HTTP/${version}\r\nHost: a\r\n${headers}\r\n\r\n${body}`;
const chunked = (body: string, more = "") => post(`${more}Transfer-Encoding: chunked`, body);
const get = (headers: string, path = "/case") =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\n${headers}${headers && "\r\n"}\r\n`;
const end = "0\r\n\r\n";

/** Requests that two programs could read in two ways, that are none, or that are at the edge of what is one. */
const texts: Readonly<Record<string, string>> = {
  // Lengths
  "a plain request": get(""),
  "a body with its length": post("Content-Length: 2", "ab"),
  "two lengths that differ": post("Content-Length: 1\r\nContent-Length: 2", "ab"),
  "two lengths that agree": post("Content-Length: 2\r\nContent-Length: 2", "ab"),
  "a list of lengths that agree": post("Content-Length: 2, 2", "ab"),
  "a list of lengths that differ": post("Content-Length: 2, 1", "ab"),
  "a length with a plus": post("Content-Length: +2", "ab"),
  "a length with a minus": post("Content-Length: -2", "ab"),
  "a length in hexadecimal": post("Content-Length: 0x2", "ab"),
  "a length with a leading zero": post("Content-Length: 02", "ab"),
  "a length with a blank within": post("Content-Length: 2 0", "ab"),
  "a length with blanks around": post("Content-Length:   2  ", "ab"),
  "an empty length": post("Content-Length: ", ""),
  "a length beyond 64 bits": post("Content-Length: 18446744073709551617", "ab"),
  "a length that is text": post("Content-Length: two", "ab"),
  "a fractional length": post("Content-Length: 2.0", "ab"),
  "a length of a GET": `GET /case HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab`,
  // Lengths and chunks
  "a length, then chunks": chunked(end, "Content-Length: 5\r\n"),
  "chunks, then a length": post("Transfer-Encoding: chunked\r\nContent-Length: 5", end),
  "chunks and a length of 0": post("Transfer-Encoding: chunked\r\nContent-Length: 0", end),
  chunks: chunked(`2\r\nab\r\n${end}`),
  "chunks of a GET": `GET /case HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n${end}`,
  // Transfer codings
  "chunked in capitals": post("Transfer-Encoding: CHUNKED", end),
  "chunked twice": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", end),
  "chunked twice in a list": post("Transfer-Encoding: chunked, chunked", end),
  "chunked, then identity": post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity", end),
  "identity, then chunked": post("Transfer-Encoding: identity, chunked", end),
  "identity alone": post("Transfer-Encoding: identity", ""),
  "identity with a length": post("Transfer-Encoding: identity\r\nContent-Length: 2", "ab"),
  "gzip, then chunked": post("Transfer-Encoding: gzip, chunked", end),
  "gzip alone": post("Transfer-Encoding: gzip", ""),
  "an unknown coding": post("Transfer-Encoding: xchunked", end),
  "chunked with a parameter": post("Transfer-Encoding: chunked;a=b", end),
  "chunked with quotes": post('Transfer-Encoding: "chunked"', end),
  "chunked with a tab before": post("Transfer-Encoding:\tchunked", end),
  "chunked with a vertical tab": post("Transfer-Encoding: \x0bchunked", end),
  "chunked with a trailing comma": post("Transfer-Encoding: chunked,", end),
  "an empty coding": post("Transfer-Encoding: ", ""),
  "a coding after a blank name": post("Transfer-Encoding : chunked", end),
  "a coding with an underscore": post("Transfer_Encoding: chunked\r\nContent-Length: 2", "ab"),
  "a length with an underscore": post("Content_Length: 5\r\nContent-Length: 2", "ab"),
  "HTTP/1.0 with chunks": post("Transfer-Encoding: chunked", end, "1.0"),
  // Chunks
  "a chunk's extension": chunked(`2;a=b\r\nab\r\n${end}`),
  "a chunk's quoted extension": chunked(`2;a="b c"\r\nab\r\n${end}`),
  "a chunk's extension with a lone LF": chunked(`2;a\nb\r\nab\r\n${end}`),
  "a chunk's extension with a lone CR": chunked(`2;a\rb\r\nab\r\n${end}`),
  "a chunk's extension with a NUL": chunked(`2;a\0\r\nab\r\n${end}`),
  "a blank before an extension": chunked(`2 ;a\r\nab\r\n${end}`),
  "a blank after a chunk's size": chunked(`2 \r\nab\r\n${end}`),
  "a blank before a chunk's size": chunked(` 2\r\nab\r\n${end}`),
  "a chunk's size with a prefix": chunked(`0x2\r\nab\r\n${end}`),
  "a chunk's size with a sign": chunked(`+2\r\nab\r\n${end}`),
  "a chunk's size with leading zeros": chunked(`0002\r\nab\r\n${end}`),
  "a chunk's size in capitals": chunked(`A\r\nabcdefghij\r\n${end}`),
  "a chunk's size beyond 64 bits": chunked(`10000000000000002\r\nab\r\n${end}`),
  "a chunk's size of 100 zeros": chunked(`${"0".repeat(100)}2\r\nab\r\n${end}`),
  "a chunk without a size": chunked(`\r\nab\r\n${end}`),
  "a chunk's size that is no number": chunked(`g\r\nab\r\n${end}`),
  "a chunk's size that ends in LF": chunked(`2\nab\r\n${end}`),
  "a chunk that ends in LF": chunked(`2\r\nab\n${end}`),
  "a chunk that is longer than it says": chunked(`2\r\nabc\r\n${end}`),
  "the last chunk ends in LF": chunked("2\r\nab\r\n0\n\n"),
  trailers: chunked("2\r\nab\r\n0\r\nX-End: yes\r\n\r\n"),
  "a length in trailers": chunked("2\r\nab\r\n0\r\nContent-Length: 5\r\n\r\n"),
  "a trailer without a colon": chunked("2\r\nab\r\n0\r\nX-End\r\n\r\n"),
  "a trailer with a bare LF": chunked("2\r\nab\r\n0\r\nX-End: a\nX-B: b\r\n\r\n"),
  // Lines
  "a bare LF after a header": `GET /case HTTP/1.1\r\nHost: a\nX-A: b\r\n\r\n`,
  "a bare LF after the first line": `GET /case HTTP/1.1\nHost: a\r\n\r\n`,
  "bare LFs everywhere": `GET /case HTTP/1.1\nHost: a\n\n`,
  "a bare LF before the empty line": `GET /case HTTP/1.1\r\nHost: a\n\r\n`,
  "a bare CR in a value": get("X-A: b\rc"),
  "a bare CR after a value": `GET /case HTTP/1.1\r\nHost: a\rX-A: b\r\n\r\n`,
  "a CR before CR LF": get("X-A: b\r"),
  "a folded header": get("X-A: b\r\n c"),
  "a folded header with a tab": get("X-A: b\r\n\tc"),
  "a folded first header": `GET /case HTTP/1.1\r\n Host: a\r\n\r\n`,
  "a folded coding": post("Transfer-Encoding:\r\n chunked", end),
  "a blank before the colon": get("X-A : b"),
  "a tab before the colon": get("X-A\t: b"),
  "a header without a colon": get("X-A"),
  "a header without a name": get(": b"),
  "a name with a NUL": get("X\0A: b"),
  "a value with a NUL": get("X-A: b\0c"),
  "a value with control characters": get("X-A: b\x01c"),
  "a value with DEL": get("X-A: b\x7fc"),
  "a value with high bytes": get("X-A: b\xe9c"),
  "a value with a tab": get("X-A: b\tc"),
  "a name with high bytes": get("X-\xe9: b"),
  "a name with parentheses": get("X(A): b"),
  "a name in quotes": get('"X": b'),
  "a name with an underscore": get("X_A: b"),
  "an empty value": get("X-A:"),
  "leading empty lines": `\r\n\r\n${get("")}`,
  "a leading LF": `\n${get("")}`,
  "a leading blank": ` ${get("")}`,
  // First lines
  "no version": "GET /case\r\nHost: a\r\n\r\n",
  "HTTP/0.9": "GET /case HTTP/0.9\r\nHost: a\r\n\r\n",
  "HTTP/1.0": "GET /case HTTP/1.0\r\nHost: a\r\n\r\n",
  "HTTP/1.2": "GET /case HTTP/1.2\r\nHost: a\r\n\r\n",
  "HTTP/2.0 as text": "GET /case HTTP/2.0\r\nHost: a\r\n\r\n",
  "HTTP/2.5": "GET /case HTTP/2.5\r\nHost: a\r\n\r\n",
  "http in small letters": "GET /case http/1.1\r\nHost: a\r\n\r\n",
  "HTTP/1.1 with more digits": "GET /case HTTP/1.10\r\nHost: a\r\n\r\n",
  "two blanks before the path": "GET  /case HTTP/1.1\r\nHost: a\r\n\r\n",
  "two blanks after the path": "GET /case  HTTP/1.1\r\nHost: a\r\n\r\n",
  "a tab in the first line": "GET\t/case HTTP/1.1\r\nHost: a\r\n\r\n",
  "a blank after the version": "GET /case HTTP/1.1 \r\nHost: a\r\n\r\n",
  "a path with a blank": "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
  "a path with a NUL": "GET /a\0b HTTP/1.1\r\nHost: a\r\n\r\n",
  "a path with a control character": "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n",
  "a path with high bytes": "GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n",
  "a path without a slash": "GET case HTTP/1.1\r\nHost: a\r\n\r\n",
  "a path with a fragment": get("", "/a#b"),
  "a path with a backslash": get("", "/a\\b"),
  "an unknown method": "FOO /case HTTP/1.1\r\nHost: a\r\n\r\n",
  "a method in small letters": "get /case HTTP/1.1\r\nHost: a\r\n\r\n",
  "a method with a colon": "GE:T /case HTTP/1.1\r\nHost: a\r\n\r\n",
  "no method": " /case HTTP/1.1\r\nHost: a\r\n\r\n",
  "OPTIONS of a star": "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
  "GET of a star": "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
  CONNECT: "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n",
  "CONNECT of a path": "CONNECT /case HTTP/1.1\r\nHost: a\r\n\r\n",
  TRACE: "TRACE /case HTTP/1.1\r\nHost: a\r\n\r\n",
  garbage: "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
  // Hosts
  "no host": "GET /case HTTP/1.1\r\nX-A: b\r\n\r\n",
  "an empty host": "GET /case HTTP/1.1\r\nHost:\r\n\r\n",
  "two hosts that differ": get("Host: b"),
  "two hosts that agree": get("Host: a"),
  "a host with a blank": "GET /case HTTP/1.1\r\nHost: a b\r\n\r\n",
  "a host with a slash": "GET /case HTTP/1.1\r\nHost: a/b\r\n\r\n",
  "a host with a user": "GET /case HTTP/1.1\r\nHost: u@a\r\n\r\n",
  "a host with a comma": "GET /case HTTP/1.1\r\nHost: a,b\r\n\r\n",
  "a host with high bytes": "GET /case HTTP/1.1\r\nHost: \xe9\r\n\r\n",
  "the absolute form": "GET http://b/case HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form with another host": "GET http://b/case HTTP/1.1\r\nHost: a\r\n\r\n",
  "the absolute form without a host": "GET http://b/case HTTP/1.1\r\n\r\n",
  "the absolute form of https": "GET https://b/case HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form of ftp": "GET ftp://b/case HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form without a path": "GET http://b HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form with a query": "GET http://b?q HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form with a user": "GET http://u@b/case HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form with a port": "GET http://b:80/case HTTP/1.1\r\nHost: b\r\n\r\n",
  "the absolute form with no authority": "GET http:///case HTTP/1.1\r\nHost: b\r\n\r\n",
  // Connections
  "pipelined requests": `${get("")}${post("Content-Length: 2", "ab")}${get("X-Last: yes")}`,
  "a request that closes": get("Connection: close"),
  "Connection names a header": get("Connection: X-A\r\nX-A: b"),
  "Connection names the host": get("Connection: Host"),
  "Connection names content-length": post("Connection: Content-Length\r\nContent-Length: 2", "ab"),
  "Proxy-Connection": get("Proxy-Connection: keep-alive"),
  "Keep-Alive": get("Keep-Alive: timeout=5"),
  "TE with trailers": get("TE: trailers"),
  "TE with gzip": get("TE: gzip, trailers"),
  "an upgrade that is not allowed": get("Connection: upgrade\r\nUpgrade: foo"),
  "an upgrade to h2c": get(
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
  ),
  "an upgrade without Connection": get("Upgrade: websocket"),
  "Expect of something else": post("Expect: 200-ok\r\nContent-Length: 2", "ab"),
  "Expect 100-continue": post("Expect: 100-continue\r\nContent-Length: 2", "ab"),
  // Sizes
  "a header of 59 KiB": get(`X-A: ${"a".repeat(59 * 1024)}`),
  "a header of more than 60 KiB": get(`X-A: ${"a".repeat(64 * 1024)}`),
  "many headers of more than 60 KiB": get(
    Array.from({ length: 70 }, (_, i) => `X-${i}: ${"a".repeat(1000)}`).join("\r\n"),
  ),
  "a path of more than 60 KiB": get("", `/${"a".repeat(64 * 1024)}`),
  "100 headers": get(Array.from({ length: 99 }, (_, i) => `X-${i}: b`).join("\r\n")),
  "101 headers": get(Array.from({ length: 100 }, (_, i) => `X-${i}: b`).join("\r\n")),
  "101 trailers": chunked(`0\r\n${"X-A: b\r\n".repeat(101)}\r\n`),
  "trailers of more than 60 KiB": chunked(`0\r\nX-A: ${"a".repeat(64 * 1024)}\r\n\r\n`),
  "a pseudo-header": get(":path: /other"),
};

/** Where Envoy takes what has no one meaning, the gateway refuses it with 400 and closes. */
export const refusedHere: Readonly<Record<string, string>> = {
  ...sameReason(
    "RFC 9112 section 7.1.1 has visible characters in extensions; others are for proxies that cut at them",
    ["a chunk's extension with a NUL"],
  ),
  ...sameReason("RFC 9112 section 7.1 has no blanks there, and who trims them may trim more", [
    "a blank before an extension",
    "a blank after a chunk's size",
  ]),
  ...sameReason("who skips to the next LF reads a chunk of another length than who counts", [
    "a chunk that ends in LF",
    "a chunk that is longer than it says",
  ]),
  ...sameReason("RFC 9110 section 6.5.1 has no lengths in trailers; Envoy drops the trailers unseen", [
    "a length in trailers",
    "a trailer with a bare LF",
  ]),
  ...sameReason("RFC 9112 section 2.2 lets a bare LF end a line, and not everybody does", [
    "a bare LF after a header",
    "a bare LF after the first line",
    "bare LFs everywhere",
    "a bare LF before the empty line",
  ]),
  ...sameReason("RFC 9112 section 2.2 has a bare CR refused; Envoy takes it out", [
    "a bare CR in a value",
    "a CR before CR LF",
  ]),
  ...sameReason("RFC 9112 section 5.2 lets servers refuse folded lines; Envoy joins them", [
    "a folded header",
    "a folded header with a tab",
    "a folded coding",
  ]),
  ...sameReason("RFC 9112 section 3 has one blank between the parts", [
    "a tab in the first line",
    "a blank after the version",
    "two blanks before the path",
    "two blanks after the path",
  ]),
  ...sameReason("RFC 9112 section 3.2 has two hosts refused; Envoy joins them with a comma", [
    "two hosts that differ",
    "two hosts that agree",
  ]),
};

/** Where Envoy finds no route, the gateway reads the path as RFC 9112 section 3.2.2 says. */
export const forwardedHere: ReadonlySet<string> = new Set(["the absolute form with a query"]);

function sameReason(reason: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, reason]));
}

const answerCounts: Readonly<Record<string, number>> = { "pipelined requests": 3, "Expect 100-continue": 2 };

export const smugglingCases: readonly RawCase[] = Object.entries(texts).map(([name, bytes]) => ({
  name,
  bytes,
  answers: answerCounts[name] ?? 1,
}));
