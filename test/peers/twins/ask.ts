import { Agent, request as httpRequest, type IncomingMessage } from "node:http";
import { linesOf } from "./noting-upstream.ts";

/** A request as a test sends it. */
export interface TestRequest {
  readonly method: string;
  readonly host: string;
  readonly path: string;
  readonly headers: readonly (readonly [string, string])[];
  /** Written one after the other; left out or empty, there is none. */
  readonly body?: readonly string[];
  readonly trailers?: readonly (readonly [string, string])[];
}

/** What came back. */
export interface TestAnswer {
  readonly status: number;
  readonly reason: string;
  /** In their order. */
  readonly headers: readonly string[];
  readonly body: string;
  readonly trailers: readonly string[];
  /** The connection ended before the response did. */
  readonly isCut: boolean;
}

/** A client with one connection to each port, which it keeps as long as it may. */
export interface Client {
  ask(port: number, request: TestRequest): Promise<TestAnswer>;
  close(): void;
}

export function createClient(): Client {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  return {
    ask: (port, request) => ask(agent, port, request),
    close: () => agent.destroy(),
  };
}

const silenceMs = 30_000;
const none: TestAnswer = { status: 0, reason: "", headers: [], body: "", trailers: [], isCut: true };

function ask(agent: Agent, port: number, request: TestRequest): Promise<TestAnswer> {
  const { method, host, path, headers, body = [], trailers = [] } = request;
  const lines = [["host", host] as const, ...headers].flat();
  const hasBody = body.length > 0 || trailers.length > 0;
  if (hasBody && !headers.some(([name]) => name === "content-length"))
    lines.push("transfer-encoding", "chunked");
  return new Promise((resolve) => {
    const sent = httpRequest({ host: "127.0.0.1", port, method, path, headers: lines, agent });
    sent.on("response", (response) => void readAnswer(response).then(resolve));
    sent.on("error", () => resolve(none));
    // Who never answers has answered nothing.
    sent.setTimeout(silenceMs, () => sent.destroy());
    if (trailers.length > 0) sent.addTrailers([...trailers] as [string, string][]);
    for (const part of body) sent.write(part, "latin1");
    sent.end();
  });
}

async function readAnswer(response: IncomingMessage): Promise<TestAnswer> {
  const parts: Buffer[] = [];
  let isCut = false;
  try {
    for await (const part of response) parts.push(part as Buffer);
  } catch {
    isCut = true;
  }
  return {
    status: response.statusCode ?? 0,
    reason: response.statusMessage ?? "",
    headers: linesOf(response.rawHeaders),
    body: Buffer.concat(parts).toString("latin1"),
    trailers: linesOf(response.rawTrailers),
    isCut,
  };
}
