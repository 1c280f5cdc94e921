import { type HeaderLine, HeaderMap, joinRepeated } from "../proxy-wasm/header-map.ts";
import { createChunkDecoder } from "./chunk-decoder.ts";
import { indexOfHeadEnd, ProtocolError, parseLength, readHeaderLines } from "./header-text.ts";

export interface ResponseEvents {
  onInformational(headers: HeaderMap): void;
  onHeaders(headers: HeaderMap, endOfStream: boolean): void;
  /** A view of what was pushed. */
  onData(bytes: Uint8Array, endOfStream: boolean): void;
  onTrailers(trailers: HeaderMap): void;
}

/** Parses the responses of one HTTP/1 connection, strictly: what two programs could read in two ways is an error. */
export interface ResponseParser {
  /** A request was sent: its method says whether the response has a body, an upgrade whether a 101 opens a tunnel. */
  expect(method: string, isUpgrade?: boolean): void;
  /** @throws ProtocolError */
  push(bytes: Uint8Array): void;
  /**
   * The connection has ended. False: in the middle of a response.
   */
  end(): boolean;
  /** Something of a response has come, and not all of it. */
  readonly isWithin: boolean;
  /** Between two responses. */
  readonly isIdle: boolean;
  /** The connection can take another request after this response. */
  readonly keepsAlive: boolean;
  /** After a 101: all further bytes are the other protocol's. */
  readonly isTunnel: boolean;
}

export interface ParserLimits {
  readonly maxHeadBytes: number;
  readonly maxHeaders: number;
}

/** As Envoy's for responses. */
const defaultLimits: ParserLimits = { maxHeadBytes: 60 * 1024, maxHeaders: 100 };
const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/;
const maxInformational = 20;
const empty = Buffer.alloc(0);

type State = "idle" | "head" | "length" | "chunked" | "close" | "tunnel";

export function createResponseParser(
  events: ResponseEvents,
  limits: ParserLimits = defaultLimits,
): ResponseParser {
  let state: State = "idle";
  let method = "";
  let isUpgrade = false;
  let keepsAlive = true;
  let held: Buffer = empty;
  let left = 0;
  let informational = 0;
  const chunks = createChunkDecoder({
    maxTrailerBytes: limits.maxHeadBytes,
    isLoose: true,
    onData: (bytes) => events.onData(bytes, false),
    onEnd(trailers) {
      state = "idle";
      if (trailers) events.onTrailers(trailers);
      else events.onData(empty, true);
    },
  });
  return {
    expect(sent, asksUpgrade = false) {
      method = sent;
      isUpgrade = asksUpgrade;
      state = "head";
      informational = 0;
    },
    push(bytes) {
      let rest = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      while (rest.length > 0) rest = step(rest);
    },
    end() {
      if (state === "close") {
        state = "idle";
        events.onData(empty, true);
      }
      return state === "idle" || state === "tunnel";
    },
    get isWithin() {
      return state === "length" || state === "chunked" || held.length > 0;
    },
    get isIdle() {
      return state === "idle";
    },
    get keepsAlive() {
      return keepsAlive;
    },
    get isTunnel() {
      return state === "tunnel";
    },
  };

  /** Takes what belongs together off the front and gives the rest. */
  function step(bytes: Buffer): Buffer {
    if (state === "head") return readHead(bytes);
    if (state === "length") return readLength(bytes);
    if (state === "chunked") return chunks.push(bytes) ?? empty;
    if (state === "idle") throw new ProtocolError("bytes that no request asked for");
    events.onData(bytes, false);
    return empty;
  }

  function readLength(bytes: Buffer): Buffer {
    const part = bytes.length <= left ? bytes : bytes.subarray(0, left);
    left -= part.length;
    if (left === 0) state = "idle";
    events.onData(part, left === 0);
    return bytes.subarray(part.length);
  }

  function readHead(bytes: Buffer): Buffer {
    const all = held.length === 0 ? bytes : Buffer.concat([held, bytes]);
    const end = indexOfHeadEnd(all, Math.max(0, held.length - 3));
    if (end < 0 ? all.length > limits.maxHeadBytes : end > limits.maxHeadBytes)
      throw new ProtocolError("the head of the response is too long");
    if (end < 0) {
      // What was pushed may be overwritten after this call.
      held = all === bytes ? Buffer.from(bytes) : all;
      return empty;
    }
    held = empty;
    begin(all.toString("latin1", 0, end));
    return all.subarray(end + 4);
  }

  function begin(head: string): void {
    const lineEnd = head.indexOf("\r\n");
    const match = statusLine.exec(lineEnd < 0 ? head : head.slice(0, lineEnd));
    if (!match) throw new ProtocolError("the status line is none of HTTP/1");
    const status = Number(match[2]);
    const lines: HeaderLine[] = [[":status", match[2]!]];
    if (lineEnd >= 0) readHeaderLines(head, lineEnd + 2, lines, limits.maxHeaders);
    const headers = new HeaderMap(joinRepeated(lines));
    if (status < 200 && status !== 101) inform(headers);
    else beginBody(status, headers, match[1] === "1");
  }

  function inform(headers: HeaderMap): void {
    if (++informational > maxInformational) throw new ProtocolError("too many informational responses");
    events.onInformational(headers);
  }

  function beginBody(status: number, headers: HeaderMap, isHttp11: boolean): void {
    const framing = readFraming(headers);
    keepsAlive = isHttp11 ? !framing.closes : framing.keepsAlive;
    left = framing.length ?? 0;
    state = bodyStateOf(status, framing);
    if (state === "close" || state === "tunnel" || status === 101) keepsAlive = false;
    events.onHeaders(headers, state === "idle");
  }

  function bodyStateOf(status: number, { length, isChunked }: Framing): State {
    if ((status === 101 && isUpgrade) || (method === "CONNECT" && status < 300)) return "tunnel";
    // As Envoy: nothing comes behind a 101 that nobody asked for.
    if (status === 101) return "idle";
    if (method === "HEAD" || status === 204 || status === 304 || length === 0) return "idle";
    if (isChunked) return "chunked";
    return length === undefined ? "close" : "length";
  }
}

interface Framing {
  readonly length: number | undefined;
  readonly isChunked: boolean;
  readonly closes: boolean;
  readonly keepsAlive: boolean;
}

/** How long the body is, and the connection lasts. */
function readFraming(headers: HeaderMap): Framing {
  let length: number | undefined;
  let isChunked = false;
  let connection = "";
  for (const [name, value] of headers.lines) {
    if (name === "content-length") {
      const next = parseLength(value);
      if (next === undefined || (length !== undefined && length !== next))
        throw new ProtocolError("the response's content-length is broken");
      length = next;
    } else if (name === "transfer-encoding") {
      if (isChunked || value.toLowerCase() !== "chunked")
        throw new ProtocolError("the response's transfer-encoding is not supported");
      isChunked = true;
    } else if (name === "connection") connection += `,${value.toLowerCase()}`;
  }
  if (isChunked && length !== undefined)
    throw new ProtocolError("the response has both content-length and transfer-encoding");
  return {
    length,
    isChunked,
    closes: connection !== "" && /(^|[\s,])close($|[\s,])/.test(connection),
    keepsAlive: connection !== "" && /(^|[\s,])keep-alive($|[\s,])/.test(connection),
  };
}
