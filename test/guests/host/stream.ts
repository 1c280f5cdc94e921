import { setImmediate } from "node:timers/promises";
import {
  type Direction,
  FilterChain,
  type FilterFactory,
  type HeaderLine,
  HeaderMap,
  type PropertyValue,
  type StreamHost,
} from "../../../src/proxy-wasm/index.ts";
import { type Message, requestOf, type StreamCase, showBytes, toChunks } from "../case-file.ts";
import type { Received, StreamResult } from "../case-result.ts";
import { withoutProxyHeaders } from "../proxy-headers.ts";
import { streamProperty } from "./properties.ts";

/** What came out of the filters on one side. */
interface Arrived {
  readonly headers: readonly HeaderLine[];
  body: Buffer;
  trailers: readonly HeaderLine[];
  complete: boolean;
}

interface Route {
  readonly name: string;
  readonly cluster: string;
}

/** Whether the guest has said this. */
export type HasSaid = (text: string) => boolean;

/** Sends a case's request through filters, with a client, routes and an upstream as `envoy/config.ts` has them. */
export async function runStream(
  filters: readonly FilterFactory[],
  test: StreamCase,
  hasSaid: HasSaid,
): Promise<StreamResult> {
  const stream = new CaseStream(filters, test);
  const { cancelAt } = test.request ?? {};
  if (cancelAt) void stream.cancelWhen(() => hasSaid(cancelAt));
  await stream.run();
  return stream.result();
}

class CaseStream implements StreamHost {
  readonly chain: FilterChain;
  private readonly test: StreamCase;
  private readonly arrived: { request?: Arrived; response?: Arrived } = {};
  private route: Route | undefined;
  private routeCleared = false;
  private answered = false;
  private isReset = false;
  private isOver = false;
  private readonly ended: Promise<void>;
  private end!: () => void;

  constructor(filters: readonly FilterFactory[], test: StreamCase) {
    this.test = test;
    this.ended = new Promise((resolve) => {
      this.end = resolve;
    });
    this.chain = new FilterChain(filters, this);
  }

  async run(): Promise<void> {
    const { chain } = this;
    const request = requestOf(this.test);
    this.route = routeOf(asReceived(request.headers));
    await Promise.race([this.ended, this.play("request", request)]);
    await this.ended;
    this.isOver = true;
    chain.end();
  }

  /** The client gives up then, unless the stream is over. */
  async cancelWhen(isTime: () => boolean): Promise<void> {
    while (!isTime() && !this.isOver) await setImmediate();
    if (!this.isOver) this.chain.reset("http2.remote_reset");
  }

  /** Sends a message part by part, each in a turn of its own. */
  private async play(direction: Direction, message: Message): Promise<void> {
    const { chain } = this;
    const steps = direction === "request" ? requestSteps(chain) : responseSteps(chain);
    const { trailers, endAlone = false } = message;
    const chunks: Uint8Array[] = toChunks(message.body);
    const wasCut = "reset" in message && message.reset === true;
    if (endAlone) chunks.push(new Uint8Array(0));
    steps.headers(asReceived(message.headers), chunks.length === 0 && !trailers && !wasCut);
    for (const [i, chunk] of chunks.entries()) {
      await setImmediate();
      steps.data(chunk, i === chunks.length - 1 && !trailers && !wasCut);
    }
    await setImmediate();
    if (trailers) steps.trailers(asReceived(trailers));
    if (wasCut) chain.reset("upstream_reset_after_response_started{remote_reset}");
  }

  result(): StreamResult {
    const { request, response } = this.arrived;
    const { chain, answered } = this;
    const named = new Set(this.test.request?.headers.map(([name]) => name));
    const details = chain.details ?? (answered ? "via_upstream" : "");
    const cut = response !== undefined && !response.complete;
    return {
      ...(request ? { request: withoutProxyHeaders(received(request), named) } : {}),
      ...(response ? { response: withoutProxyHeaders(received(response)) } : {}),
      local:
        response !== undefined && !/^(via_upstream$|upstream_reset_after_response_started)/.test(details),
      details,
      ...(cut ? { cut } : {}),
      ...(this.route?.cluster === "other" ? { rerouted: true } : {}),
    };
  }

  // What the filter chain calls:

  sendHeaders(direction: Direction, headers: HeaderMap, endOfStream: boolean): void {
    if (direction === "request" && !this.findUpstream(headers)) return;
    // As Envoy, after the filters: they find it when the stream is logged.
    if (direction === "response" && headers.get("date") === undefined)
      headers.add("date", new Date().toUTCString());
    this.arrived[direction] = {
      headers: headers.lines,
      body: Buffer.alloc(0),
      trailers: [],
      complete: false,
    };
    if (direction === "request" && this.test.response?.early) this.answer();
    if (endOfStream) this.complete(direction);
  }

  sendData(direction: Direction, bytes: Uint8Array, endOfStream: boolean): void {
    const message = this.arrived[direction]!;
    message.body = Buffer.concat([message.body, bytes]);
    if (endOfStream) this.complete(direction);
  }

  sendTrailers(direction: Direction, trailers: HeaderMap): void {
    this.arrived[direction]!.trailers = trailers.lines;
    this.complete(direction);
  }

  reset(): void {
    this.isReset = true;
    this.end();
  }

  setPaused(): void {}

  clearRouteCache(): void {
    this.routeCleared = true;
  }

  property(path: readonly string[]): PropertyValue | undefined {
    const { route, arrived, isOver } = this;
    return streamProperty(path, {
      route: route?.name,
      cluster: route?.cluster,
      isSent: arrived.request !== undefined,
      isEnded: isOver,
    });
  }

  private complete(direction: Direction): void {
    this.arrived[direction]!.complete = true;
    if (direction === "response") this.end();
    else this.answer();
  }

  private answer(): void {
    if (this.answered) return;
    this.answered = true;
    const answer = this.test.response ?? { headers: [[":status", "200"]] };
    void setImmediate().then(() => (this.isReset ? undefined : this.play("response", answer)));
  }

  /** As Envoy's router and codec: whether the headers lead to an upstream and can be sent there. */
  private findUpstream(headers: HeaderMap): boolean {
    if (this.routeCleared) this.route = routeOf(headers);
    const reply = (status: number, text: string, details: string) =>
      this.chain.sendLocalResponse({
        status,
        headers: [],
        body: Buffer.from(text),
        grpcStatus: undefined,
        details,
      });
    if (!this.route) reply(404, "", "route_not_found");
    else if (!canBeSent(headers)) reply(502, protocolError, protocolErrorDetails);
    else return true;
    return false;
  }
}

const protocolError =
  "upstream connect error or disconnect/reset before headers. reset reason: protocol error";
const protocolErrorDetails = "upstream_reset_before_response_started{protocol_error}";
const pseudoHeaders = [":method", ":scheme", ":authority", ":path"];

function canBeSent(headers: HeaderMap): boolean {
  const names = headers.lines.map(([name]) => name).filter((name) => name.startsWith(":"));
  return headers.get(":authority") !== undefined && names.every((name) => pseudoHeaders.includes(name));
}

/** The routes of `envoy/config.ts`; Envoy looks for none when these headers are missing. */
function routeOf(headers: HeaderMap): Route | undefined {
  if (headers.get(":path") === undefined || headers.get("x-forwarded-proto") === undefined) return undefined;
  if (headers.get("x-other") === "1") return { name: "other-route", cluster: "other" };
  return { name: "test-route", cluster: "upstream" };
}

/** As the other side has it: HTTP/2 leaves out values that begin or end with a blank. */
function received({ headers, body, trailers }: Arrived): Received {
  return { headers: headers.filter(([, value]) => value.trim() === value), body: showBytes(body), trailers };
}

/** Lines as they arrive from Node's HTTP/2: those of a name together. */
function asReceived(lines: readonly HeaderLine[]): HeaderMap {
  const names = new Set(lines.map(([name]) => name));
  return HeaderMap.from(Array.from(names).flatMap((name) => lines.filter((line) => line[0] === name)));
}

function requestSteps(chain: FilterChain) {
  return {
    headers: (headers: HeaderMap, end: boolean) => chain.requestHeaders(headers, end),
    data: (bytes: Uint8Array, end: boolean) => chain.requestData(bytes, end),
    trailers: (trailers: HeaderMap) => chain.requestTrailers(trailers),
  };
}

function responseSteps(chain: FilterChain) {
  return {
    headers: (headers: HeaderMap, end: boolean) => chain.responseHeaders(headers, end),
    data: (bytes: Uint8Array, end: boolean) => chain.responseData(bytes, end),
    trailers: (trailers: HeaderMap) => chain.responseTrailers(trailers),
  };
}
