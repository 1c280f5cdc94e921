import { once } from "node:events";
import { readFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import type { TestContext } from "node:test";
import { createServer, type TLSSocket } from "node:tls";
import type { CertificateFiles } from "./certificate.ts";
import {
  type Frame,
  flags,
  frame,
  frameTypes,
  headerBlock,
  preface,
  readFrames,
  settings,
  uint32,
} from "./http2-frames.ts";

/** What a scripted server can do with the request on a stream. */
export interface ScriptedAnswer {
  /** The head, and a piece of the body that is not the last unless `last` says so. */
  begin(body: string, last?: boolean): void;
  reset(code: number): void;
  goAway(code: number, lastStream: number): void;
  /** Ends the connection. */
  hangUp(): void;
}

export interface ScriptedServer {
  readonly port: number;
  readonly connections: number;
  /** Methods of the requests so far, in their order, as the server was asked. */
  readonly requests: number;
}

/** A server of HTTP/2 over TLS that does with its first, second, … request what the script says, and answers `{}` to others. */
export async function startScriptedServer(
  t: Pick<TestContext, "after">,
  files: CertificateFiles,
  script: readonly ((answer: ScriptedAnswer) => void)[],
): Promise<ScriptedServer> {
  const sockets = new Set<TLSSocket>();
  let [connections, requests] = [0, 0];
  const tls = { cert: await readFile(files.certificate), key: await readFile(files.key) };
  const server = createServer({ ...tls, ALPNProtocols: ["h2"] }, (socket) => {
    connections++;
    sockets.add(socket);
    socket.on("error", () => {}).once("close", () => sockets.delete(socket));
    socket.write(settings());
    readFramesOf(socket, ({ type, flags: set, stream, payload }) => {
      const isAnswer = (set & flags.ack) !== 0;
      if (type === frameTypes.settings && !isAnswer) socket.write(frame(type, flags.ack, 0));
      if (type === frameTypes.ping && !isAnswer) socket.write(frame(type, flags.ack, 0, payload));
      if (type !== frameTypes.headers) return;
      const answer = answerOn(socket, stream);
      const act = script[requests++];
      if (act) act(answer);
      else answer.begin("{}", true);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get connections() {
      return connections;
    },
    get requests() {
      return requests;
    },
  };
}

function readFramesOf(socket: TLSSocket, take: (frame: Frame) => void): void {
  let rest = Buffer.alloc(0);
  let hasBegun = false;
  socket.on("data", (chunk: Buffer) => {
    rest = Buffer.concat([rest, chunk]);
    if (!hasBegun && rest.length < preface.length) return;
    if (!hasBegun) rest = rest.subarray(preface.length);
    hasBegun = true;
    for (const found of readFrames(rest)) {
      rest = rest.subarray(9 + found.payload.length);
      take(found);
    }
  });
}

function answerOn(socket: TLSSocket, stream: number): ScriptedAnswer {
  const head = frame(frameTypes.headers, flags.endHeaders, stream, headerBlock([[":status", "200"]]));
  return {
    begin: (body, last = false) =>
      void socket.write(
        Buffer.concat([head, frame(frameTypes.data, last ? flags.endStream : 0, stream, body)]),
      ),
    reset: (code) => void socket.write(frame(frameTypes.resetStream, 0, stream, uint32(code))),
    goAway: (code, last) =>
      void socket.write(frame(frameTypes.goAway, 0, 0, Buffer.concat([uint32(last), uint32(code)]))),
    hangUp: () => void socket.end(),
  };
}
