import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type TestContext, test } from "node:test";
import { until } from "../../test/peers/until.ts";
import { createPulse } from "./pulse.ts";

const pingMs = 100;

/** A connection to a server that says again what it is told, as long as it may. */
async function connectEcho(t: TestContext): Promise<{ readonly socket: Socket; fallSilent(): void }> {
  let isSilent = false;
  const server = createServer((other) => other.on("data", (bytes) => !isSilent && other.write(bytes)));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
  socket.resume();
  t.after(() => {
    socket.destroy();
    server.close();
  });
  return {
    socket,
    fallSilent() {
      isSilent = true;
    },
  };
}

test("a server that answers lives, whatever this program does meanwhile; one that falls silent does not", async (t) => {
  const { socket, fallSilent } = await connectEcho(t);
  let [beats, isDead] = [0, false];
  const pulse = createPulse({
    pingMs,
    bytesRead: () => socket.bytesRead,
    ping() {
      socket.write("ping");
      // The answer is there before it is looked for, and before this program has read it.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 3 * pingMs);
    },
    onBeat: () => beats++,
    onDead() {
      isDead = true;
    },
  });
  t.after(() => pulse.end());
  await until("it has been asked three times", () => beats >= 3);
  assert.equal(isDead, false);
  fallSilent();
  await until("it is taken for dead", () => isDead);
});

test("whoever asks again and again does not put off the end", async (t) => {
  const { socket, fallSilent } = await connectEcho(t);
  fallSilent();
  let isDead = false;
  const pulse = createPulse({
    ...{ pingMs, bytesRead: () => socket.bytesRead, ping: () => {}, onBeat: () => {} },
    onDead() {
      isDead = true;
    },
  });
  const asking = setInterval(() => pulse.ask(), pingMs / 10);
  t.after(() => {
    clearInterval(asking);
    pulse.end();
  });
  await until("it is taken for dead", () => isDead);
});
