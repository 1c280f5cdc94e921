import { METHODS } from "node:http";
import type { HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import { createChunkDecoder } from "./chunk-decoder.ts";
import { indexOfHeadEnd, ProtocolError, readHeaderLines } from "./header-text.ts";
import { badRequest, headersTooLarge, invalidCharacters, upgradeRequired } from "./local-replies.ts";
import { RequestFault } from "./request-fault.ts";
import { readRequestFraming } from "./request-framing.ts";
import type { ParserLimits } from "./response-parser.ts";

/** A request's first line and headers, as they came. */
export interface ParsedRequest {
  readonly method: string;
  readonly target: string;
  readonly protocol: "HTTP/1.0" | "HTTP/1.1";
  /** Names are lower-case. */
  readonly lines: HeaderLine[];
  readonly hasBody: boolean;
  /** The client wants to send another request after this one. */
  readonly keepsAlive: boolean;
  /** The client asks to switch protocols: all that follows belongs to the other one. */
  readonly isUpgrade: boolean;
  readonly expect: string | undefined;
}

export interface RequestEvents {
  onRequest(request: ParsedRequest): void;
  /** A view of what was pushed. */
  onData(bytes: Buffer, endOfStream: boolean): void;
  onTrailers(trailers: HeaderMap): void;
}

/** Parses the requests of one HTTP/1 connection, strictly: what two programs could read in two ways is an error. */
export interface RequestParser {
  /**
   * Takes bytes up to the end of a request, or up to a switch of protocols, and gives those behind it.
   * @throws ProtocolError
   */
  push(bytes: Buffer): Buffer;
  /** Between two requests. */
  readonly isIdle: boolean;
  /** A part of a head has come, and not all of it. */
  readonly isWithinHead: boolean;
  /** Nothing that comes is HTTP any more. */
  readonly isTunnel: boolean;
}

type State = "head" | "length" | "chunked" | "tunnel";

const none = Buffer.alloc(0);
const cr = 0x0d;
const lf = 0x0a;
/** As Node's. */
const methods: ReadonlyMap<string, string> = new Map(METHODS.map((method) => [method, method]));
const maxMethodLength = 32;
const targetText = /^[\x21-\x7e]+$/;
const otherVersion = /^HTTP\/\d\.\d$/;
/** Would say anew how long a body is, or whom it is for (RFC 9110 section 6.5.1). */
const notInTrailers: ReadonlySet<string> = new Set(["content-length", "transfer-encoding", "host"]);

/** `limits` are asked for each head. */
export function createRequestParser(events: RequestEvents, limits: () => ParserLimits): RequestParser {
  let state: State = "head";
  let held: Buffer = none;
  let left = 0;
  let isOver = false;
  const chunks = createChunkDecoder({
    maxTrailerBytes: limits().maxHeadBytes,
    isLoose: false,
    onData: (bytes) => events.onData(bytes, false),
    onEnd(trailers) {
      finish();
      if (!trailers) events.onData(none, true);
      else {
        if (trailers.lines.some(([name]) => notInTrailers.has(name)))
          throw new ProtocolError("trailers say how long the body is");
        events.onTrailers(trailers);
      }
    },
  });
  return {
    push(bytes) {
      let rest = bytes;
      isOver = false;
      while (rest.length > 0 && !isOver) rest = step(rest);
      return rest;
    },
    get isIdle() {
      return state === "head" && held.length === 0;
    },
    get isWithinHead() {
      return held.length > 0;
    },
    get isTunnel() {
      return state === "tunnel";
    },
  };

  function finish(): void {
    state = "head";
    isOver = true;
  }

  function step(bytes: Buffer): Buffer {
    if (state === "head") return readHead(bytes);
    if (state === "length") return readLength(bytes);
    if (state === "chunked") return chunks.push(bytes) ?? none;
    events.onData(bytes, false);
    return none;
  }

  function readLength(bytes: Buffer): Buffer {
    const part = bytes.length <= left ? bytes : bytes.subarray(0, left);
    left -= part.length;
    if (left === 0) finish();
    events.onData(part, left === 0);
    return bytes.subarray(part.length);
  }

  function readHead(bytes: Buffer): Buffer {
    const all = withoutEmptyLines(held.length === 0 ? bytes : Buffer.concat([held, bytes]));
    // Of a lone CR it is not known yet whether it is an empty line's.
    const before = held.length === 1 ? 0 : held.length;
    const { maxHeadBytes, maxHeaders } = limits();
    const end = indexOfHeadEnd(all, Math.max(0, before - 3));
    if (end < 0 ? all.length > maxHeadBytes : end > maxHeadBytes) throw new RequestFault(headersTooLarge);
    if (end < 0) {
      if (!mayBegin(all, before)) throw faultOf(all.toString("latin1"), maxHeaders);
      // What was pushed may be overwritten after this call.
      held = Buffer.from(all);
      return none;
    }
    held = none;
    begin(parseHead(all.toString("latin1", 0, end), maxHeaders));
    return end + 4 === all.length ? none : all.subarray(end + 4);
  }

  function begin({ request, length }: ParsedHead): void {
    if (request.isUpgrade || request.method === "CONNECT") {
      state = "tunnel";
      isOver = true;
    } else if (!request.hasBody) finish();
    else {
      state = length === undefined ? "chunked" : "length";
      left = length ?? 0;
    }
    events.onRequest(request);
  }
}

interface ParsedHead {
  readonly request: ParsedRequest;
  /** Of a body that is not chunked. */
  readonly length: number | undefined;
}

function parseHead(head: string, maxHeaders: number): ParsedHead {
  const methodEnd = head.indexOf(" ");
  const found = head.indexOf("\r\n");
  const lineEnd = found < 0 ? head.length : found;
  const method = methodEnd > 0 ? methods.get(head.slice(0, methodEnd)) : undefined;
  if (method === undefined || methodEnd > lineEnd) throw new RequestFault(badRequest);
  const targetEnd = head.indexOf(" ", methodEnd + 1);
  // HTTP/0.9 has no more.
  const isOld = targetEnd < 0 || targetEnd > lineEnd;
  const target = head.slice(methodEnd + 1, isOld ? lineEnd : targetEnd);
  if (target === "") throw new RequestFault(badRequest);
  if (!targetText.test(target)) throw new RequestFault(invalidCharacters);
  if (isOld) throw new RequestFault(upgradeRequired);
  const protocol = readVersion(head, targetEnd + 1, lineEnd);
  const lines: HeaderLine[] = [];
  if (found >= 0) readHeaderLines(head, lineEnd + 2, lines, maxHeaders - 1);
  const { length, ...said } = readRequestFraming(lines, protocol);
  return { request: { method, target, protocol, lines, ...said }, length };
}

function readVersion(head: string, from: number, to: number): ParsedRequest["protocol"] {
  if (to - from === 8 && head.startsWith("HTTP/1.", from)) {
    if (head.charCodeAt(to - 1) === 0x31) return "HTTP/1.1";
    if (head.charCodeAt(to - 1) === 0x30) return "HTTP/1.0";
  }
  throw new RequestFault(otherVersion.test(head.slice(from, to)) ? upgradeRequired : badRequest);
}

/** RFC 9112 section 2.2: empty lines before a request are no part of it. */
function withoutEmptyLines(bytes: Buffer): Buffer {
  let at = 0;
  for (;;) {
    if (bytes[at] === lf) at++;
    else if (bytes[at] === cr && bytes[at + 1] === lf) at += 2;
    else return at === 0 ? bytes : bytes.subarray(at);
  }
}

/** What came of a head may become one: nobody has to wait for more to see that it is none. */
function mayBegin(bytes: Buffer, from: number): boolean {
  for (let i = from; i < bytes.length; i++) {
    const byte = bytes[i]!;
    if (byte === lf ? bytes[i - 1] !== cr : byte < 0x20 && byte !== cr && byte !== 0x09) return false;
    if (byte !== lf && bytes[i - 1] === cr) return false;
  }
  if (from > maxMethodLength || (bytes.length === 1 && bytes[0] === cr)) return true;
  const start = bytes.toString("latin1", 0, maxMethodLength);
  const blank = start.indexOf(" ");
  if (blank >= 0) return methods.has(start.slice(0, blank));
  return start.length < maxMethodLength && METHODS.some((method) => method.startsWith(start));
}

function faultOf(head: string, maxHeaders: number): unknown {
  try {
    parseHead(head, maxHeaders);
  } catch (error) {
    return error;
  }
  return new RequestFault(badRequest);
}
