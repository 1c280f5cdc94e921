import { type Agent, type IncomingHttpHeaders, request } from "node:http";

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** A GET at a loopback port with a Host of its own. */
export function get(
  port: number,
  path = "/",
  host = "localhost",
  agent?: Agent,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return getAt({ address: "127.0.0.1", port }, { path, host, agent, headers });
}

export interface GetOptions {
  readonly path?: string;
  readonly host?: string;
  readonly agent?: Agent | undefined;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the connection and between bytes; any time unless given. */
  readonly timeoutMs?: number;
}

/** A GET at an address with a Host of its own, on a connection of its own unless there is an agent. */
export function getAt(
  { address, port }: { readonly address: string; readonly port: number },
  { path = "/", host = "localhost", agent, headers = {}, timeoutMs }: GetOptions = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      {
        ...{ host: address, port, path, agent: agent ?? false, timeout: timeoutMs },
        headers: { host, ...headers },
      },
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
