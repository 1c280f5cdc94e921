import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { connectRaw } from "../peers/raw-connection.ts";

/** What became of a request's bytes. */
export interface RawOutcome {
  /** Status, `connection`, and body of each answer. */
  readonly answers: readonly string[];
  /** Whether a request that follows on the connection is answered. */
  readonly connection: "stays" | "closes" | "waits";
  /** What reached the upstream. */
  readonly upstream: readonly string[];
}

/** An upstream that notes what comes. */
export interface NotingUpstream {
  readonly port: number;
  /** What has come since the last call. */
  take(): readonly string[];
  close(): void;
}

/** Those that are the gateway's own and differ in each run. */
const own =
  /^(x-request-id|x-forwarded-for|x-envoy-external-address|x-envoy-expected-rq-timeout-ms|x-forwarded-proto)$/;

/** `hidden` are the names of headers that are not noted. */
export async function startNotingUpstream(hidden = own): Promise<NotingUpstream> {
  let noted: string[] = [];
  const server: Server = createServer({ maxHeaderSize: 256 * 1024 }, async (request, response) => {
    const body: Buffer[] = [];
    try {
      for await (const part of request) body.push(part as Buffer);
    } catch {
      noted.push(`${request.method} ${brief(request.url!)}|cut off`);
      return;
    }
    const { rawHeaders: raw, rawTrailers: trailers } = request;
    const lines = raw.flatMap((name, i) =>
      i % 2 === 0 && !hidden.test(name.toLowerCase()) ? [`${name}: ${brief(raw[i + 1]!)}`] : [],
    );
    const ends = trailers.flatMap((name, i) => (i % 2 === 0 ? [`${name}: ${brief(trailers[i + 1]!)}`] : []));
    noted.push(
      [
        `${request.method} ${brief(request.url!)}`,
        ...lines,
        "",
        Buffer.concat(body).toString("latin1"),
        ...ends,
      ].join("|"),
    );
    if (request.url === "/server") response.setHeader("server", "upstream");
    response.end("ok");
  });
  server.maxHeadersCount = 0;
  server.on("clientError", (error: Error, socket) => {
    noted.push(`broken: ${error.message}`);
    socket.destroy();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    take() {
      const taken = noted;
      noted = [];
      return taken;
    },
    close() {
      server.closeAllConnections();
      server.close();
    },
  };
}

function brief(text: string): string {
  return text.length > 2000 ? `${text.slice(0, 10)}… ${text.length}` : text;
}

const probe = "GET /probe HTTP/1.1\r\nHost: probe\r\n\r\n";
const waitMs = 1000;

/** Sends a request's bytes, and after its answers another request. */
export async function sendCase(
  port: number,
  bytes: string,
  answerCount: number,
  upstream: NotingUpstream,
): Promise<RawOutcome> {
  upstream.take();
  const client = await connectRaw(port);
  client.write(bytes);
  const isAnswered = await client.reads((text) => readAnswers(text).length >= answerCount, waitMs);
  if (isAnswered && !client.isEnded()) client.write(probe);
  await client.reads((text) => readAnswers(text).length > answerCount, isAnswered ? 3 * waitMs : waitMs);
  const answers = readAnswers(client.received());
  const connection = client.isEnded() ? "closes" : answers.length > answerCount ? "stays" : "waits";
  client.close();
  return {
    answers,
    connection,
    upstream: upstream.take().filter((line) => !line.startsWith("GET /probe|host: probe||")),
  };
}

/** The complete answers in what came. */
export function readAnswers(text: string): string[] {
  const answers: string[] = [];
  for (let at = 0; at < text.length; ) {
    const headEnd = text.indexOf("\r\n\r\n", at);
    if (headEnd < 0) break;
    const head = text.slice(at, headEnd).split("\r\n");
    const field = (name: string) =>
      head
        .find((line) => line.toLowerCase().startsWith(`${name}:`))
        ?.slice(name.length + 1)
        .trim();
    let length = Number(field("content-length") ?? 0);
    let body = text.slice(headEnd + 4, headEnd + 4 + length);
    if (field("transfer-encoding") === "chunked") {
      const last = text.indexOf("0\r\n\r\n", headEnd + 4);
      if (last < 0) break;
      length = last + 5 - headEnd - 4;
      body = text.slice(headEnd + 4, last);
    }
    if (body.length < length && field("transfer-encoding") === undefined) break;
    answers.push([head[0]!.split(" ")[1], field("connection"), body].filter((part) => part).join(" "));
    at = headEnd + 4 + length;
  }
  return answers;
}
