import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

/** A proxy of TCP that can stop forwarding, as a network does that lost its way, without ending a connection. */
export interface TcpProxy {
  readonly port: number;
  /** Connections so far. */
  readonly accepted: number;
  /** Connections at the moment. */
  readonly open: number;
  /** From now on nothing arrives at either side over the connections that there are; new ones work. */
  stall(): void;
  /** Ends all connections, and each new one at once, until `mend`. */
  cut(): void;
  /** Takes each new connection and never says anything on it, until `mend`: as one whose first packets are lost. */
  silence(): void;
  mend(): void;
}

/** Forwards to a port of loopback, until the test ends. */
export async function startTcpProxy(t: Pick<TestContext, "after">, target: number): Promise<TcpProxy> {
  const pairs = new Set<readonly [Socket, Socket]>();
  const silenced = new Set<Socket>();
  let accepted = 0;
  let isCut = false;
  let isSilent = false;
  const destroyAll = () => {
    for (const socket of [...pairs, silenced].flatMap((sockets) => [...sockets])) socket.destroy();
  };
  const server = createServer((client) => {
    accepted++;
    if (isCut) return void client.destroy();
    if (isSilent) return void silenced.add(client.on("error", () => {}));
    const upstream = connect(target, "127.0.0.1");
    const pair = [client, upstream] as const;
    pairs.add(pair);
    client.pipe(upstream);
    upstream.pipe(client);
    for (const socket of pair)
      socket
        .on("error", () => {})
        .once("close", () => {
          pairs.delete(pair);
          for (const other of pair) other.destroy();
        });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    destroyAll();
  });
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    get open() {
      return pairs.size;
    },
    stall() {
      for (const [client, upstream] of pairs) {
        client.unpipe(upstream).pause();
        upstream.unpipe(client).pause();
      }
    },
    cut() {
      isCut = true;
      destroyAll();
    },
    silence() {
      isSilent = true;
    },
    mend() {
      isCut = false;
      isSilent = false;
    },
  };
}
