import assert from "node:assert/strict";
import { once } from "node:events";
import { connect, createServer, type Http2Session } from "node:http2";
import { type AddressInfo, connect as connectTcp, type Socket } from "node:net";
import { test } from "node:test";
import { frame, frameTypes, preface, settings } from "../../test/peers/http2-frames.ts";
import { until } from "../../test/peers/until.ts";
import { createSilenceCheck, type WatchedSession } from "./silent-sessions.ts";

test("a session that is over ends, one that only waits stays", async (t) => {
  const watched: WatchedSession[] = [];
  const sockets: Socket[] = [];
  const server = createServer();
  server.on("connection", (socket: Socket) => sockets.push(socket));
  server.on("session", (session: Http2Session) => {
    watched.push({ session, isIdle: () => true });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const waiting = connect(`http://127.0.0.1:${port}`);
  t.after(() => waiting.destroy());
  await once(waiting, "remoteSettings");
  const broken = connectTcp(port, "127.0.0.1");
  broken.write(Buffer.concat([preface, settings(), frame(frameTypes.data, 0, 0, "ab")]));
  await until("GOAWAY", () => broken.bytesRead > 20);
  broken.destroy();
  const check = createSilenceCheck();
  const [good, bad] = watched as [WatchedSession, WatchedSession];
  await until("the broken one ends", () => {
    check([bad]);
    return bad.session.destroyed;
  });
  for (let i = 0; i < 20; i++) {
    check([good]);
    // Its client answers a ping before the next check.
    await new Promise((resolve) => good.session.ping(resolve));
  }
  assert.equal(good.session.destroyed, false);
});
