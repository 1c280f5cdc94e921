import { once } from "node:events";
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import {
  createServer as createHttp2,
  createSecureServer,
  type Http2SecureServer,
  type Http2Server,
  type ServerHttp2Stream,
} from "node:http2";
import { type AddressInfo, createServer as createTcp, type Server, type Socket } from "node:net";
import { createServer as createTls, type TlsOptions } from "node:tls";
import { headerObject, lines } from "../../guests/envoy/upstreams.ts";

/** A request as an upstream saw it. */
export interface SeenRequest {
  readonly upstream: string;
  /** Of those that the client and the gateway sent alike: `name: value`, in their order. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
}

/** Upstreams by name, each on a port of its own. What they answer is in the path that they are asked. */
export interface ScriptedUpstreams {
  readonly ports: Readonly<Record<UpstreamName, number>>;
  /** What came since the last time, in order. */
  take(): SeenRequest[];
  /** Connections that were opened since the last time. */
  takeConnections(): Readonly<Partial<Record<UpstreamName, number>>>;
  /** Requests to `/held` that wait. */
  readonly held: number;
  /** Lets them be answered. */
  release(): void;
  close(): void;
}

export type UpstreamName = "http1" | "other" | "http2" | "raw" | "tls1" | "tls2" | "silent" | "closed";

export interface UpstreamTlsFiles {
  readonly cert: Buffer;
  readonly key: Buffer;
  /** Of clients. */
  readonly ca: Buffer;
}

export async function startScriptedUpstreams(tls: UpstreamTlsFiles): Promise<ScriptedUpstreams> {
  const seen: SeenRequest[] = [];
  const sockets = new Set<Socket>();
  const held = new Set<() => void>();
  const opened = new Map<UpstreamName, number>();
  const counts = new Map<string, number>();
  /** How often a path was asked for before: `/first-503` fails once. */
  const timesAsked = (path: string) => {
    const times = counts.get(path) ?? 0;
    counts.set(path, times + 1);
    return times;
  };
  const world: World = { seen, held, timesAsked };
  const secure: TlsOptions = { ...tls, requestCert: true, rejectUnauthorized: false };
  const settings = { enableConnectProtocol: true };
  const servers: Partial<Record<UpstreamName, Server>> = {
    http1: createHttp(http1Answer("http1", world)),
    other: createHttp(http1Answer("other", world)),
    http2: withStreams(createHttp2({ settings }), "http2", world) as unknown as Server,
    raw: createTcp((socket) => rawAnswer(socket, world)),
    tls1: createTls({ ...secure, ALPNProtocols: ["http/1.1"] }, (socket) =>
      http1ForTls.emit("connection", socket),
    ),
    tls2: withStreams(
      createSecureServer({ ...secure, allowHTTP1: false }),
      "tls2",
      world,
    ) as unknown as Server,
    silent: createTcp(),
  };
  const http1ForTls = createHttp(http1Answer("tls1", world));
  const ports: Record<string, number> = {};
  for (const [name, server] of Object.entries(servers)) {
    server.on("connection", (socket) => {
      opened.set(name as UpstreamName, (opened.get(name as UpstreamName) ?? 0) + 1);
      sockets.add(socket);
      socket.on("error", () => {});
    });
    server.on("error", () => {});
    server.on("upgrade", (request: IncomingMessage, socket: Socket) => {
      seen.push({ upstream: name, headers: shown(lines(request.rawHeaders)), body: "", trailers: [] });
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
      socket.pipe(socket);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports[name] = (server.address() as AddressInfo).port;
  }
  const gone = createTcp().listen(0, "127.0.0.1");
  await once(gone, "listening");
  ports.closed = (gone.address() as AddressInfo).port;
  gone.close();
  return {
    ports: ports as ScriptedUpstreams["ports"],
    take: () => seen.splice(0),
    takeConnections() {
      const counted = Object.fromEntries(opened);
      opened.clear();
      return counted;
    },
    get held() {
      return held.size;
    },
    release() {
      for (const answer of [...held]) answer();
      held.clear();
    },
    close() {
      for (const server of Object.values(servers)) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}

interface World {
  readonly seen: SeenRequest[];
  readonly held: Set<() => void>;
  timesAsked(path: string): number;
}

/** What all gateways send, whatever the run: no ids, times and addresses. */
const varying =
  /^(x-request-id|x-forwarded-for|x-envoy-external-address|x-envoy-internal|host|:authority|connection)$/;

function shown(headers: readonly (readonly [string, string])[]): string[] {
  return headers
    .filter(([name]) => !varying.test(name.toLowerCase()))
    .map(([name, value]) => `${name.toLowerCase()}: ${steady(name, value)}`);
}

/** What is left of a timeout is some milliseconds less at each attempt. */
function steady(name: string, value: string): string {
  return name.toLowerCase() === "x-envoy-expected-rq-timeout-ms"
    ? `${Math.ceil(Number(value) / 1000)} s`
    : value;
}

function http1Answer(upstream: string, world: World) {
  return async (request: IncomingMessage, response: ServerResponse) => {
    const noted = { upstream, headers: shown(lines(request.rawHeaders)), body: "", trailers: [] as string[] };
    noted.headers.unshift(`:method: ${request.method}`, `:path: ${request.url}`);
    world.seen.push(noted);
    const [, verb = "", argument = ""] = (request.url ?? "").split("/");
    if (verb === "early") {
      response.writeHead(200, { "content-length": 5 }).end("early");
      request.resume();
      return;
    }
    try {
      for await (const part of request) noted.body += String(part);
    } catch {
      return;
    }
    noted.trailers = shown(lines(request.rawTrailers));
    const answer = (status: number, headers: Record<string, string> = {}) =>
      response.writeHead(status, { "x-upstream": upstream, ...headers }).end(`${upstream} ${verb}`);
    switch (verb) {
      case "status":
        return answer(Number(argument));
      case "first":
        return answer(world.timesAsked(request.url!) === 0 ? Number(argument) : 200);
      case "first-cut":
        return world.timesAsked(request.url!) === 0 ? request.socket.destroy() : answer(200);
      case "header":
        return answer(200, { [argument]: "yes" });
      case "header-503":
        return answer(503, { [argument]: "yes" });
      case "held":
        return world.held.add(() => answer(200));
      case "never":
        return undefined;
      case "first-never":
        return world.timesAsked(request.url!) === 0 ? undefined : answer(200);
      case "close":
        return answer(200, { connection: "close" });
      case "trailers":
        response.writeHead(200, { trailer: "x-t" });
        response.write("body");
        response.addTrailers({ "x-t": "1" });
        return response.end();
      case "hints":
        response.writeEarlyHints({ link: "</a>; rel=preload" });
        return answer(200);
      case "half":
        response.writeHead(200, { "content-length": 100 }).write("half");
        return setImmediate(() => request.socket.destroy());
      case "grpc":
        return response.writeHead(200, { "content-type": "application/grpc", "grpc-status": argument }).end();
      default:
        return answer(200);
    }
  };
}

function withStreams<T extends Http2Server | Http2SecureServer>(
  server: T,
  upstream: string,
  world: World,
): T {
  server.on("session", (session) => session.on("error", () => {}));
  const onStream = (stream: ServerHttp2Stream, _headers: object, _flags: number, raw: string[]) =>
    http2Answer(stream, raw, upstream, world);
  server.on("stream", onStream as (stream: ServerHttp2Stream) => void);
  return server;
}

function http2Answer(stream: ServerHttp2Stream, raw: string[], upstream: string, world: World): void {
  const noted = { upstream, headers: shown(lines(raw)), body: "", trailers: [] as string[] };
  world.seen.push(noted);
  const path = raw[raw.indexOf(":path") + 1] ?? "";
  const [, verb = "", argument = ""] = path.split("/");
  stream.on("error", () => {});
  stream.on("data", (bytes: Buffer) => {
    noted.body += bytes.toString("latin1");
    if (raw.includes(":protocol")) stream.write(bytes);
  });
  stream.on("trailers", (_headers: object, _flags: number, trailers: string[]) => {
    noted.trailers = shown(lines(trailers));
  });
  const answer = (status: number, headers: Record<string, string> = {}) => {
    if (stream.destroyed) return;
    stream.respond({ ":status": status, "x-upstream": upstream, ...headers });
    stream.end(`${upstream} ${verb}`);
  };
  if (raw.includes(":protocol")) {
    stream.respond({ ":status": 200 });
    return;
  }
  if (verb === "reset") {
    stream.close(Number(argument));
    return;
  }
  if (verb === "first-reset" && world.timesAsked(path) === 0) {
    stream.close(Number(argument));
    return;
  }
  stream.on("end", () => {
    switch (verb) {
      case "status":
        return answer(Number(argument));
      case "first":
        return answer(world.timesAsked(path) === 0 ? Number(argument) : 200);
      case "held":
        return world.held.add(() => answer(200));
      case "never":
        return undefined;
      case "goaway":
        answer(200);
        return stream.session?.goaway();
      case "goaway-all":
        return stream.session?.goaway(0, 0);
      case "cut":
        return stream.session?.destroy();
      case "half":
        stream.respond({ ":status": 200, ...headerObject([["x-a", "1"]]) });
        stream.write("half");
        return setImmediate(() => stream.close(Number(argument)));
      case "hints":
        stream.additionalHeaders({ ":status": 103, link: "</a>; rel=preload" });
        return answer(200);
      case "trailers":
        stream.respond({ ":status": 200 }, { waitForTrailers: true });
        stream.on("wantTrailers", () => stream.sendTrailers({ "x-t": "1" }));
        return stream.end("body");
      case "empty":
        return stream.respond({ ":status": 204 }, { endStream: true });
      case "grpc":
        return stream.respond(
          { ":status": 200, "content-type": "application/grpc", "grpc-status": argument },
          { endStream: true },
        );
      default:
        return answer(200);
    }
  });
}

/** Bytes that no server of HTTP would send. */
const rawAnswers: Readonly<Record<string, string>> = {
  "/garbage": "this is no HTTP\r\n\r\n",
  "/two-lengths": "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
  "/length-and-chunks": "HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
  "/bad-chunk": "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n",
  "/http10": "HTTP/1.0 200 OK\r\n\r\nto the end",
  "/http10-length": "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
  "/no-reason": "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok",
  "/folded": "HTTP/1.1 200 OK\r\nx-a: 1\r\n 2\r\ncontent-length: 2\r\n\r\nok",
  "/half-head": "HTTP/1.1 200 OK\r\nx-a: 1",
  "/extra": "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokmore",
  "/status-99": "HTTP/1.1 99 Odd\r\ncontent-length: 2\r\n\r\nok",
  "/body-304": "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n",
  "/unasked-101": "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n",
  "/bare-lf": "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
  "/gzip-coding": "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\nok",
  "/space-name": "HTTP/1.1 200 OK\r\nx a: 1\r\ncontent-length: 2\r\n\r\nok",
  "/close": "",
};
const endsAfter = new Set(["/http10", "/half-head", "/bad-chunk", "/bare-lf"]);

function rawAnswer(socket: Socket, { seen }: World): void {
  socket.on("data", (bytes) => {
    const path = /^\w+ (\S+) HTTP/.exec(bytes.toString("latin1"))?.[1] ?? "";
    seen.push({ upstream: "raw", headers: [`:path: ${path}`], body: "", trailers: [] });
    const answer = rawAnswers[path];
    if (answer === undefined || answer === "") socket.destroy();
    else if (endsAfter.has(path)) socket.end(answer, "latin1");
    else socket.write(answer, "latin1");
  });
}
