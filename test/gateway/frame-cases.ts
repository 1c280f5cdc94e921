import {
  flags,
  frame,
  headerBlock,
  preface,
  settings,
  frameTypes as types,
  uint32,
} from "../peers/http2-frames.ts";

type Lines = readonly (readonly [name: string, value: string])[];

/** What a client sends over HTTP/2. */
export interface FrameCase {
  readonly bytes: Buffer;
  /** How many streams are to end: answered or reset. 0 if it is left out. */
  readonly streams?: number;
}

const { endStream, endHeaders } = flags;
const start = Buffer.concat([preface, settings()]);
const pseudo: Lines = [
  [":method", "GET"],
  [":scheme", "http"],
  [":authority", "a"],
  [":path", "/case"],
];
const without = (name: string) => pseudo.filter(([each]) => each !== name);
const posted: Lines = [[":method", "POST"], ...pseudo.slice(1)];
const headers = (lines: Lines, stream = 1, flag: number = endStream) =>
  frame(types.headers, endHeaders | flag, stream, headerBlock(lines));
const data = (text: string | Buffer, stream = 1, flag: number = endStream) =>
  frame(types.data, flag, stream, text);
const reset = (stream: number, code = 8) => frame(types.resetStream, 0, stream, uint32(code));
const times = (count: number, make: (i: number) => Buffer) =>
  Buffer.concat(Array.from({ length: count }, (_, i) => make(i)));

const after = (...frames: readonly Buffer[]) => Buffer.concat([start, ...frames]);
const request = (lines: Lines): FrameCase => ({ bytes: after(headers(lines)), streams: 1 });
const withHeader = (name: string, value: string) => request([...pseudo, [name, value]]);
const stream = (...frames: readonly Buffer[]): FrameCase => ({ bytes: after(...frames), streams: 1 });
const connection = (...frames: readonly Buffer[]): FrameCase => ({ bytes: after(...frames) });

export const frameCases: Readonly<Record<string, FrameCase>> = {
  // Requests
  "a request": request(pseudo),
  "a body": stream(headers(posted, 1, 0), data("ab", 1, 0), data("c")),
  "an empty body": stream(headers(posted, 1, 0), data("")),
  "no :method": request(without(":method")),
  "no :path": request(without(":path")),
  "no :scheme": request(without(":scheme")),
  "no :authority": request(without(":authority")),
  "host in place of :authority": request([...without(":authority"), ["host", "a"]]),
  "host beside :authority": withHeader("host", "a"),
  "another host beside :authority": withHeader("host", "b"),
  "an empty :path": request([...without(":path"), [":path", ""]]),
  "a :path without a slash": request([...without(":path"), [":path", "case"]]),
  "a :path with a fragment": request([...without(":path"), [":path", "/a#b"]]),
  "a :path with a blank": request([...without(":path"), [":path", "/a b"]]),
  "a :path of a star": request([...without(":path"), [":path", "*"]]),
  "an absolute :path": request([...without(":path"), [":path", "http://a/case"]]),
  "two :path": request([...pseudo, [":path", "/other"]]),
  "an unknown pseudo-header": request([...pseudo, [":other", "a"]]),
  "a pseudo-header of responses": request([...pseudo, [":status", "200"]]),
  "a pseudo-header after a header": request([...without(":path"), ["x-a", "b"], [":path", "/case"]]),
  "a pseudo-header in trailers": stream(headers(posted, 1, 0), headers([[":path", "/other"]])),
  "an authority with a blank": request([...without(":authority"), [":authority", "a b"]]),
  "an authority with a slash": request([...without(":authority"), [":authority", "a/b"]]),
  "an authority with a user": request([...without(":authority"), [":authority", "u@a"]]),
  "a method that is none": request([...without(":method"), [":method", "G T"]]),
  "an unknown method": request([[":method", "FOO"], ...pseudo.slice(1)]),
  "a scheme that is none": request([...without(":scheme"), [":scheme", "h t"]]),
  "an unknown scheme": request([...without(":scheme"), [":scheme", "ftp"]]),
  "https over plaintext": request([...without(":scheme"), [":scheme", "https"]]),
  // Names and values
  "a name in capitals": withHeader("X-A", "b"),
  "an empty name": withHeader("", "b"),
  "a name with a blank": withHeader("x a", "b"),
  "a name with a colon": withHeader("x:a", "b"),
  "a name with a NUL": withHeader("x\0a", "b"),
  "a name with high bytes": withHeader("x-\xe9", "b"),
  "a value with CR LF": withHeader("x-a", "b\r\nx-b: c"),
  "a value with LF": withHeader("x-a", "b\nc"),
  "a value with a NUL": withHeader("x-a", "b\0c"),
  "a value with a control character": withHeader("x-a", "b\x01c"),
  "a value with blanks around": withHeader("x-a", " b "),
  "a value with high bytes": withHeader("x-a", "b\xe9"),
  "an underscore": withHeader("x_a", "b"),
  connection: withHeader("connection", "close"),
  "keep-alive": withHeader("keep-alive", "timeout=5"),
  "proxy-connection": withHeader("proxy-connection", "keep-alive"),
  "transfer-encoding": withHeader("transfer-encoding", "chunked"),
  upgrade: withHeader("upgrade", "websocket"),
  "te: trailers": withHeader("te", "trailers"),
  "te: gzip": withHeader("te", "gzip"),
  expect: withHeader("expect", "100-continue"),
  "crumbs of cookies": request([...pseudo, ["cookie", "a=1"], ["x-a", "b"], ["cookie", "b=2"]]),
  // Lengths
  "a length that is right": stream(headers([...posted, ["content-length", "2"]], 1, 0), data("ab")),
  "a length that is too short": stream(headers([...posted, ["content-length", "1"]], 1, 0), data("ab")),
  "a length that is too long": stream(headers([...posted, ["content-length", "3"]], 1, 0), data("ab")),
  "a length without a body": stream(headers([...posted, ["content-length", "3"]])),
  "two lengths that differ": stream(
    headers([...posted, ["content-length", "2"], ["content-length", "1"]], 1, 0),
    data("ab"),
  ),
  "two lengths that agree": stream(
    headers([...posted, ["content-length", "2"], ["content-length", "2"]], 1, 0),
    data("ab"),
  ),
  "a length that is text": stream(headers([...posted, ["content-length", "two"]], 1, 0), data("ab")),
  "a length with a plus": stream(headers([...posted, ["content-length", "+2"]], 1, 0), data("ab")),
  // CONNECT
  CONNECT: request([
    [":method", "CONNECT"],
    [":authority", "a:80"],
  ]),
  "CONNECT with a path": request([
    [":method", "CONNECT"],
    [":authority", "a:80"],
    [":path", "/"],
    [":scheme", "http"],
  ]),
  "extended CONNECT that is not allowed": stream(
    headers([[":method", "CONNECT"], ...pseudo.slice(1), [":protocol", "websocket"]], 1, 0),
  ),
  ":protocol without CONNECT": request([...pseudo, [":protocol", "websocket"]]),
  // Frames
  "a bad preface": { bytes: Buffer.from("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n") },
  "no SETTINGS after the preface": { bytes: Buffer.concat([preface, headers(pseudo)]) },
  "an oversized frame": connection(headers(posted, 1, 0), data(Buffer.alloc(16_385))),
  "an unknown frame": connection(frame(0x42, 0, 0, "abc")),
  "HEADERS on stream 0": connection(headers(pseudo, 0)),
  "HEADERS on an even stream": connection(headers(pseudo, 2)),
  "HEADERS on a lower stream": { bytes: after(headers(pseudo, 5), headers(pseudo, 3)), streams: 1 },
  "HEADERS on a closed stream": connection(headers(pseudo, 1), headers(pseudo, 1)),
  "HEADERS with too much padding": connection(
    frame(
      types.headers,
      endHeaders | endStream | flags.padded,
      1,
      Buffer.concat([Buffer.from([200]), headerBlock(pseudo)]),
    ),
  ),
  "HEADERS that depend on themselves": connection(
    frame(
      types.headers,
      endHeaders | endStream | flags.priority,
      1,
      Buffer.concat([uint32(1), Buffer.from([16]), headerBlock(pseudo)]),
    ),
  ),
  "a broken header block": connection(
    frame(types.headers, endHeaders | endStream, 1, Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff])),
  ),
  "DATA on stream 0": connection(data("ab", 0)),
  "DATA on an idle stream": connection(data("ab", 1)),
  "DATA after the end": connection(headers(pseudo, 1), data("ab", 1)),
  "DATA with too much padding": connection(
    headers(posted, 1, 0),
    frame(types.data, endStream | flags.padded, 1, Buffer.from([9, 0])),
  ),
  "CONTINUATION alone": connection(frame(types.continuation, endHeaders, 1, headerBlock(pseudo))),
  "something between HEADERS and CONTINUATION": connection(
    frame(types.headers, endStream, 1, headerBlock(pseudo)),
    frame(types.ping, 0, 0, Buffer.alloc(8)),
  ),
  "RST_STREAM of an idle stream": connection(reset(1)),
  "RST_STREAM of stream 0": connection(reset(0)),
  "RST_STREAM of three bytes": connection(headers(posted, 1, 0), frame(types.resetStream, 0, 1, "abc")),
  "SETTINGS of five bytes": connection(frame(types.settings, 0, 0, "abcde")),
  "SETTINGS on a stream": connection(frame(types.settings, 0, 1, "")),
  "an ACK with settings": connection(frame(types.settings, flags.ack, 0, Buffer.alloc(6))),
  "a window beyond what it may be": connection(settings([4, 0x80000000])),
  "a frame size below what it may be": connection(settings([5, 100])),
  "ENABLE_PUSH of 2": connection(settings([2, 2])),
  "PING of seven bytes": connection(frame(types.ping, 0, 0, "abcdefg")),
  "PING on a stream": connection(frame(types.ping, 0, 1, "abcdefgh")),
  "WINDOW_UPDATE of 0": connection(frame(types.windowUpdate, 0, 0, uint32(0))),
  "WINDOW_UPDATE of 0 on a stream": stream(headers(posted, 1, 0), frame(types.windowUpdate, 0, 1, uint32(0))),
  "WINDOW_UPDATE beyond what it may be": connection(frame(types.windowUpdate, 0, 0, uint32(0x7fffffff))),
  "WINDOW_UPDATE of an idle stream": connection(frame(types.windowUpdate, 0, 1, uint32(1))),
  PUSH_PROMISE: connection(
    headers(posted, 1, 0),
    frame(types.pushPromise, endHeaders, 1, Buffer.concat([uint32(2), headerBlock(pseudo)])),
  ),
  "PRIORITY of four bytes": connection(frame(types.priority, 0, 1, "abcd")),
  "GOAWAY of the client": connection(frame(types.goAway, 0, 0, Buffer.concat([uint32(0), uint32(0)]))),
  // Limits
  "100 headers": request([...pseudo, ...Array.from({ length: 96 }, (_, i) => [`x-${i}`, "b"] as const)]),
  "110 headers": request([...pseudo, ...Array.from({ length: 106 }, (_, i) => [`x-${i}`, "b"] as const)]),
  "headers of more than 60 KiB": { bytes: after(...largeHeaders(70_000)), streams: 1 },
  "headers of more than 200 KiB": { bytes: after(...largeHeaders(200_000)), streams: 1 },
  // Floods
  "a flood of CONTINUATION": connection(
    frame(types.headers, endStream, 1, headerBlock(pseudo)),
    times(20_000, () => frame(types.continuation, 0, 1, headerBlock([["x-a", "b"]]))),
  ),
  "a flood of empty CONTINUATION": connection(
    frame(types.headers, endStream, 1, headerBlock(pseudo)),
    times(20_000, () => frame(types.continuation, 0, 1)),
  ),
  "a flood of SETTINGS": connection(times(20_000, () => settings())),
  "a flood of PING": connection(times(20_000, () => frame(types.ping, 0, 0, Buffer.alloc(8)))),
  "a flood of PRIORITY": connection(
    times(20_000, () => frame(types.priority, 0, 1, Buffer.concat([uint32(0), Buffer.from([1])]))),
  ),
  "a flood of empty DATA": connection(
    headers(posted, 1, 0),
    times(20_000, () => data("", 1, 0)),
  ),
  "a flood of WINDOW_UPDATE": connection(
    headers(posted, 1, 0),
    times(20_000, () => frame(types.windowUpdate, 0, 1, uint32(1))),
  ),
  "a rapid reset": connection(
    times(20_000, (i) => Buffer.concat([headers(pseudo, 2 * i + 1), reset(2 * i + 1)])),
  ),
  "streams that reset themselves": connection(
    times(20_000, (i) =>
      Buffer.concat([headers(posted, 2 * i + 1, 0), frame(types.windowUpdate, 0, 2 * i + 1, uint32(0))]),
    ),
  ),
};

/** A block in one HEADERS and as many CONTINUATION as it needs. */
function largeHeaders(size: number): Buffer[] {
  const block = headerBlock([
    ...pseudo,
    ...Array.from({ length: Math.ceil(size / 5000) }, (_, i) => [`x-${i}`, "b".repeat(5000)] as const),
  ]);
  const parts: Buffer[] = [];
  for (let at = 0; at < block.length; at += 16_000) {
    const isLast = at + 16_000 >= block.length;
    const flag = (at === 0 ? endStream : 0) | (isLast ? endHeaders : 0);
    parts.push(
      frame(at === 0 ? types.headers : types.continuation, flag, 1, block.subarray(at, at + 16_000)),
    );
  }
  return parts;
}

const leftOut =
  "Node's HTTP/2 leaves lines out that are no header, Envoy resets the stream; neither sends them on";

/** Where the gateway answers otherwise than Envoy, and why. */
export const differsHere: Readonly<Record<string, string>> = {
  "an empty name": leftOut,
  "a name with a blank": leftOut,
  "a name with a colon": leftOut,
  "a name with a NUL": leftOut,
  "a name with high bytes": leftOut,
  "a value with CR LF": leftOut,
  "a value with LF": leftOut,
  "a value with a NUL": leftOut,
  "a value with a control character": leftOut,
  "a value with blanks around":
    "Node's HTTP/2 leaves the line out as RFC 9113 section 8.2.1 has it malformed, Envoy trims it",
  "110 headers": "the stream is reset with another code",
  "headers of more than 200 KiB": "beyond eight CONTINUATION the connection ends, in Envoy the stream",
};

/**
 * Frames of which Envoy counts how many come and closes. They cost as little as any byte, and nothing is kept of them;
 * whether they are counted depends on the version of Node.
 */
export const cheapFloods: ReadonlySet<string> = new Set(["a flood of PRIORITY", "a flood of WINDOW_UPDATE"]);
