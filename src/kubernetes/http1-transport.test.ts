import assert from "node:assert/strict";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { until } from "../../test/peers/until.ts";
import { createHttp1Transport } from "./http1-transport.ts";

test("a connection with a watch on it is asked by TCP whether it lives, and ends with its transport", async (t) => {
  const server = createServer((request, response) => {
    if (request.url === "/watch") response.write("{}\n");
    else response.end("{}");
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const base = new URL(`http://127.0.0.1:${port}`);
  const transport = createHttp1Transport(base, { tls: {} });
  const ending = new AbortController();
  t.after(() => ending.abort());
  const get = (path: string) =>
    transport.exchange({
      ...{ method: "GET", url: new URL(path, base), headers: {}, body: undefined, signal: ending.signal },
    });
  await get("/watch");
  const [timer] = await until("there is a timer", async () => {
    const timers = await timersTowards(port);
    return timers.some(({ kind }) => kind === "02") ? timers : undefined;
  });
  assert.ok(timer!.seconds > 1 && timer!.seconds <= 10, `${timer!.seconds} seconds`);
  const { body } = await get("/once");
  for await (const _ of body);
  const connections = () =>
    new Promise<number>((resolve) => server.getConnections((_, count) => resolve(count)));
  await until("both are there", async () => (await connections()) === 2);
  transport.retire();
  await until("the watch alone is left", async () => (await connections()) === 1);
});

/** Timers of Linux' connections to a port, of which kind `02` is keep-alive. */
async function timersTowards(port: number) {
  const remote = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return (await readFile("/proc/net/tcp", "utf8"))
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , address, state]) => address === remote && state === "01")
    .map((fields) => {
      const [kind, hundredths] = fields[5]!.split(":");
      return { kind, seconds: Number.parseInt(hundredths!, 16) / 100 };
    });
}
