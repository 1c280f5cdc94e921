import assert from "node:assert/strict";
import { once } from "node:events";
import { constants, createServer } from "node:http2";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { createXdsServer } from "../xds/server.ts";
import { createSnapshot } from "../xds/snapshot.ts";
import { createDiscoveryLink } from "./discovery-link.ts";

for (const isRefusedBefore of [false, true])
  test(`a connection on which nothing happens is given up, and another one is made${isRefusedBefore ? ", also after one that was refused" : ""}`, async (t) => {
    const ended = new AbortController();
    t.after(() => ended.abort());
    const discovery = createXdsServer({
      snapshotFor: () => createWatchable(createSnapshot([])),
      log: silentLog,
    });
    const proxy = await startTcpProxy(t, await listenXds(discovery, "127.0.0.1", 0, ended.signal));
    if (isRefusedBefore) proxy.cut();
    else proxy.silence();
    const link = createDiscoveryLink(
      { target: `127.0.0.1:${proxy.port}`, connectTimeoutMs: 200 },
      ended.signal,
    );
    const there = link.whenThere(ended.signal);
    if (isRefusedBefore) {
      await until("one is refused", () => proxy.accepted >= 1);
      proxy.mend();
      proxy.silence();
    }
    const before = proxy.accepted;
    await until("it is given up", () => proxy.accepted >= before + 2);
    assert.equal(await link.isThere(), false);
    proxy.mend();
    await there;
    assert.equal(await link.isThere(), true);
  });

test("a stream that a discovery which ends hands back ends too, where there is no other discovery", async (t) => {
  const ended = new AbortController();
  t.after(() => ended.abort());
  const discovery = createServer();
  discovery.listen(0, "127.0.0.1");
  await once(discovery, "listening");
  t.after(() => discovery.close());
  const proxy = await startTcpProxy(t, (discovery.address() as AddressInfo).port);
  discovery.once("stream", (stream) => {
    proxy.silence();
    // No server has seen it, so that gRPC tries it over the next connection without a word.
    stream.session?.goaway(constants.NGHTTP2_NO_ERROR, stream.id! - 2);
    stream.on("error", () => {}).close(constants.NGHTTP2_REFUSED_STREAM);
  });
  const link = createDiscoveryLink(
    { target: `127.0.0.1:${proxy.port}`, connectTimeoutMs: 200 },
    ended.signal,
  );
  await link.whenThere(ended.signal);
  const errors: Error[] = [];
  link
    .open("deltaAggregatedResources")
    .on("error", (error) => errors.push(error))
    .resume();
  await until("it has ended", () => errors.length > 0);
  assert.match(errors[0]!.message, /Channel closed/);
});
