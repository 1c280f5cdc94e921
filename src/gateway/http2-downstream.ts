import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from "node:http2";
import { type HeaderLine, HeaderMap } from "../proxy-wasm/header-map.ts";
import type { Downstream, DownstreamConnection, DownstreamEvents } from "./downstream.ts";
import { readHttp2Lines } from "./read-http2-request.ts";

const none = new Uint8Array(0);

/** The client's side of a stream over HTTP/2. */
export class Http2Downstream implements Downstream {
  readonly protocol = "HTTP/2";
  readonly isUpgrade: boolean;
  readonly connection: DownstreamConnection;
  private readonly stream: ServerHttp2Stream;
  private trailers: HeaderMap | undefined;

  constructor(stream: ServerHttp2Stream, connection: DownstreamConnection, isUpgrade: boolean) {
    this.stream = stream;
    this.connection = connection;
    this.isUpgrade = isUpgrade;
  }

  start(events: DownstreamEvents, headers: HeaderMap, endOfStream: boolean): void {
    const { stream } = this;
    let trailers: HeaderMap | undefined;
    stream.on("close", () => events.onClosed());
    stream.on("drain", () => events.onDrain());
    events.onHeaders(headers, endOfStream);
    if (endOfStream || stream.destroyed) return;
    stream.on("trailers", (received, _flags, raw?: string[]) => {
      trailers = new HeaderMap(raw ? readHttp2Lines(raw) : linesOf(received));
    });
    stream.on("data", (bytes: Buffer) => events.onData(bytes, false));
    stream.on("end", () => {
      if (trailers) events.onTrailers(trailers);
      // A stream that is reset ends, too.
      else if (!stream.aborted) events.onData(none, true);
    });
  }

  sendInformational(headers: HeaderMap): void {
    if (!this.stream.headersSent && !this.stream.destroyed) this.stream.additionalHeaders(recordOf(headers));
  }

  sendHeaders(headers: HeaderMap, endOfStream: boolean): void {
    const { stream } = this;
    if (stream.destroyed) return;
    const record = recordOf(headers);
    // RFC 8441 section 5.1.
    if (this.isUpgrade && record[":status"] === "101") record[":status"] = "200";
    stream.respond(record, { endStream: endOfStream, waitForTrailers: !endOfStream });
    if (!endOfStream)
      stream.once("wantTrailers", () => {
        // None of them end the stream with its last data.
        stream.sendTrailers(this.trailers ? recordOf(this.trailers) : {});
      });
  }

  sendData(bytes: Uint8Array, endOfStream: boolean): boolean {
    const { stream } = this;
    if (stream.destroyed) return true;
    if (!endOfStream) return bytes.length === 0 || stream.write(bytes);
    if (bytes.length > 0) stream.end(bytes);
    else stream.end();
    return true;
  }

  sendTrailers(trailers: HeaderMap): void {
    this.trailers = trailers;
    this.stream.end();
  }

  reset(): void {
    this.stream.close(constants.NGHTTP2_INTERNAL_ERROR);
  }

  setPaused(paused: boolean): void {
    if (paused) this.stream.pause();
    else this.stream.resume();
  }
}

/** Names once, with all their values; what HTTP/2 has no headers for is left out. */
function recordOf(headers: HeaderMap): Record<string, string | string[]> {
  const record: Record<string, string | string[]> = {};
  for (const [name, value] of headers.lines) {
    if (name === "connection" || name === "transfer-encoding" || name === "upgrade" || name === "keep-alive")
      continue;
    const known = record[name];
    record[name] = known === undefined ? value : Array.isArray(known) ? [...known, value] : [known, value];
  }
  return record;
}

function linesOf(headers: IncomingHttpHeaders): HeaderLine[] {
  return Object.entries(headers).flatMap(([name, value]) =>
    [value ?? []].flat().map((each): HeaderLine => [name, each]),
  );
}
