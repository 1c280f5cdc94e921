import { fromBinary } from "@bufbuild/protobuf";
import { GrpcServiceSchema } from "../../../src/gen/envoy/config/core/v3/grpc_service_pb.ts";
import type {
  GrpcCall,
  GrpcEvents,
  GrpcMethod,
  GrpcStream,
  HttpAnswer,
  HttpCall,
  Outside,
} from "../../../src/proxy-wasm/index.ts";
import { type CallAnswer, type Line, showBytes, toBuffer } from "../case-file.ts";
import type { CallResult } from "../case-result.ts";

/** What guests call, answered as a case says: what its upstreams see and say, with what Envoy's client and router add. */
export interface CalledUpstreams {
  readonly outside: Pick<Outside, "httpCall" | "grpcCall" | "grpcStream">;
  /** For the next case. Upstreams that were there once stay. */
  begin(answers: readonly CallAnswer[]): Promise<void> | void;
  /** What the upstreams of these answers saw, in the answers' order. */
  take(): Promise<CallResult[]> | CallResult[];
}

interface Noted {
  readonly upstream: string;
  readonly headers: readonly Line[];
  body: Buffer;
}

const serviceTime: Line = ["x-envoy-upstream-service-time", "0"];
const resetReason = "upstream connect error or disconnect/reset before headers. reset reason: ";
const tooLate = "upstream request timeout";
const unavailable = 14;

/** Starts with the upstreams that routes lead to. */
export function createCalledUpstreams(): CalledUpstreams {
  const known = new Set(["upstream", "other"]);
  let answers: CallAnswer[] = [];
  let names: string[] = [];
  let noted: Noted[] = [];
  const nextAnswer = (upstream: string): CallAnswer => {
    const at = answers.findIndex((answer) => answer.upstream === upstream);
    return at < 0 ? { upstream, status: 599 } : answers.splice(at, 1)[0]!;
  };
  const note = (upstream: string, headers: readonly Line[], body: Uint8Array): Noted => {
    const call = { upstream, headers, body: Buffer.from(body) };
    noted.push(call);
    return call;
  };
  const begin = (method: GrpcMethod, timeoutMs?: number) => {
    const upstream = upstreamOf(method, known);
    if (upstream === undefined) return undefined;
    const answer = nextAnswer(upstream);
    return { answer, call: note(upstream, grpcHeaders(upstream, method, timeoutMs), new Uint8Array(0)) };
  };
  return {
    outside: {
      httpCall(call, done) {
        if (!known.has(call.upstream)) return "unknown-upstream";
        const answer = nextAnswer(call.upstream);
        const isValid = requiredNames.every((name) => call.headers.find((line) => line[0] === name)?.[1]);
        if (!answer.refuse && isValid) note(call.upstream, httpHeaders(call), call.body);
        return respond(call, isValid ? httpAnswer(answer) : failed("protocol error"), done);
      },
      grpcCall(call, events) {
        const begun = begin(call, call.timeoutMs);
        if (!begun) return "unknown-upstream";
        begun.call.body = grpcFrame(call.message);
        return playGrpc(begun.answer, events, call);
      },
      grpcStream(method, events) {
        const begun = begin(method);
        return begun ? openStream(begun.call, begun.answer, events) : "unknown-upstream";
      },
    },
    begin(next) {
      answers = [...next];
      names = [...new Set(next.map(({ upstream }) => upstream))];
      noted = [];
      for (const name of names) known.add(name);
    },
    take: () =>
      names.flatMap((name) =>
        noted
          .filter(({ upstream }) => upstream === name)
          .map(({ body, ...rest }) => ({ ...rest, body: showBytes(body), trailers: [] })),
      ),
  };
}

const requiredNames = [":method", ":path", ":authority"];

/** Envoy's client adds the scheme and the body's length, and sends no trailers. */
function httpHeaders({ headers, body }: HttpCall): readonly Line[] {
  const has = (name: string) => headers.some((line) => line[0] === name);
  const pseudo = headers.filter(([name]) => name.startsWith(":"));
  const rest = headers.filter(([name]) => !name.startsWith(":"));
  return [
    ...pseudo,
    ...(has(":scheme") ? [] : [[":scheme", "http"] as const]),
    ...rest,
    ...(body.length === 0 || has("content-length") ? [] : [["content-length", String(body.length)] as const]),
  ];
}

/** The answer to a call; undefined: none comes. */
function httpAnswer(answer: CallAnswer): HttpAnswer | undefined {
  const { status = 200, headers = [], body, trailers = [], hang, reset, refuse } = answer;
  if (hang) return undefined;
  if (reset) return failed("remote reset");
  if (refuse) return failed("remote connection failure");
  const lines: Line[] = [[":status", String(status)], ...headers, serviceTime];
  return { headers: lines, body: body === undefined ? new Uint8Array(0) : toBuffer(body), trailers };
}

const failed = (reason: string) => localAnswer(503, `${resetReason}${reason}`);

/** What Envoy's router says in place of an upstream. */
function localAnswer(status: number, text: string): HttpAnswer {
  const headers: Line[] = [
    [":status", String(status)],
    ["content-length", String(text.length)],
    ["content-type", "text/plain"],
  ];
  return { headers, body: Buffer.from(text), trailers: [] };
}

function respond(
  { timeoutMs }: HttpCall,
  answer: HttpAnswer | undefined,
  done: (answer: HttpAnswer) => void,
) {
  if (answer) return later(() => done(answer));
  return timeoutMs === undefined ? () => {} : later(() => done(localAnswer(504, tooLate)), timeoutMs);
}

/** Before anything that comes by a network, or after so many ms. */
function later(run: () => void, ms?: number): () => void {
  if (ms === undefined) {
    const immediate = setImmediate(run);
    return () => clearImmediate(immediate);
  }
  const timer = setTimeout(run, ms);
  return () => clearTimeout(timer);
}

/** A cluster's name, or that in a serialized `GrpcService`. */
function upstreamOf({ upstream }: GrpcMethod, known: ReadonlySet<string>): string | undefined {
  const name = Buffer.from(upstream).toString();
  if (/^\w+$/.test(name)) return known.has(name) ? name : undefined;
  const { targetSpecifier } = fromBinary(GrpcServiceSchema, upstream);
  const inner = targetSpecifier.case === "envoyGrpc" ? targetSpecifier.value.clusterName : "";
  return known.has(inner) ? inner : undefined;
}

function grpcHeaders(
  upstream: string,
  { service, method, metadata }: GrpcMethod,
  timeoutMs?: number,
): Line[] {
  return [
    [":method", "POST"],
    [":path", `/${service}/${method}`],
    [":authority", upstream],
    [":scheme", "http"],
    ["te", "trailers"],
    ...(timeoutMs === undefined ? [] : [["grpc-timeout", `${timeoutMs}m`] as const]),
    ["content-type", "application/grpc"],
    ...metadata,
  ];
}

function openStream(call: Noted, answer: CallAnswer, events: GrpcEvents): GrpcStream {
  let cancel = () => {};
  let isOpen = true;
  const end = () => {
    if (isOpen && !answer.hang) cancel = playGrpc(answer, events, {});
    isOpen = false;
  };
  return {
    send(message, endOfStream) {
      if (!isOpen) return;
      call.body = Buffer.concat([call.body, grpcFrame(message)]);
      if (endOfStream) end();
    },
    close: end,
    cancel: () => cancel(),
  };
}

/** Gives the events of an answer one after the other, each in a turn of its own. */
function playGrpc(answer: CallAnswer, events: GrpcEvents, { timeoutMs }: Partial<GrpcCall>): () => void {
  if (answer.hang) {
    if (timeoutMs === undefined) return () => {};
    return later(() => events.close(unavailable, `${tooLate}{response_timeout}`), timeoutMs);
  }
  const steps = grpcSteps(answer, events);
  let cancel = () => {};
  const next = () => {
    const step = steps.shift();
    if (!step) return;
    cancel = later(() => {
      step();
      next();
    });
  };
  next();
  return () => {
    steps.length = 0;
    cancel();
  };
}

function grpcSteps(answer: CallAnswer, events: GrpcEvents): (() => void)[] {
  const { messages = [], grpcStatus = 0, grpcMessage = "", headers = [], trailers = [] } = answer;
  if (answer.reset) {
    const details = "{upstream_reset_before_response_started{remote_reset}}";
    return [() => events.close(unavailable, `${resetReason}remote reset${details}`)];
  }
  const first: Line[] = [[":status", "200"], ["content-type", "application/grpc"], ...headers, serviceTime];
  const last: Line[] = [["grpc-status", String(grpcStatus)], ["grpc-message", grpcMessage], ...trailers];
  const text = grpcMessage === "" ? "via_upstream" : `${grpcMessage}{via_upstream}`;
  return [
    () => events.initialMetadata(first),
    ...messages.map((message) => () => events.message(toBuffer(message))),
    () => events.trailingMetadata(last),
    () => events.close(grpcStatus, text),
  ];
}

function grpcFrame(message: Uint8Array): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}
