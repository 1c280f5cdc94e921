import { runCommand } from "../src/run-command.ts";

/**
 * Loads a port with wrk over 32 keep-alive connections and gives how many requests were answered. Fails where one was
 * not, or not with 2xx or 3xx.
 */
export async function wrkRequests(
  wrk: string,
  port: number,
  seconds: number,
  headers: Readonly<Record<string, string>> = {},
): Promise<number> {
  const lines = Object.entries({ Host: "foo.com", ...headers }).flatMap(([key, value]) => [
    "-H",
    `${key}: ${value}`,
  ]);
  const args = ["-t1", "-c32", `-d${seconds}s`, ...lines, `http://127.0.0.1:${port}/`];
  const { stdout } = await runCommand(wrk, args, { timeoutMs: (seconds + 30) * 1000 });
  const requests = Number(/(\d+) requests in/.exec(stdout)?.[1]);
  if (!requests || /Non-2xx|Socket errors/.test(stdout)) throw new Error(`wrk:\n${stdout}`);
  return requests;
}
