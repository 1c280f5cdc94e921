import { type Agent, type IncomingHttpHeaders, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** Where to send a request: a port on loopback, or of another machine. */
export type Place = number | { readonly host: string; readonly port: number };

/** A GET with a Host of its own. */
export function get(
  at: Place,
  path = "/",
  host = "localhost",
  agent?: Agent,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return getAt(at, { path, host, agent, headers });
}

export interface GetOptions {
  readonly path?: string;
  readonly host?: string;
  readonly agent?: Agent | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the connection and between bytes; any time unless given. */
  readonly timeoutMs?: number;
}

/** A GET with a Host of its own, on a connection of its own unless there is an agent. */
export function getAt(
  at: Place,
  { path = "/", host = "localhost", agent, headers = {}, timeoutMs }: GetOptions = {},
): Promise<Answer> {
  const place = typeof at === "number" ? { host: "127.0.0.1", port: at } : at;
  return new Promise((resolve, reject) => {
    const sent = request(
      { ...place, path, headers: { host, ...headers }, agent: agent ?? false, timeout: timeoutMs },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            headers: response.headers,
            body: Buffer.concat(chunks).toString(),
          }),
        );
        response.on("error", reject);
      },
    );
    sent.on("error", reject);
    sent.on("timeout", () => sent.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    sent.end();
  });
}
