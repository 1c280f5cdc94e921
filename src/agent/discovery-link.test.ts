import assert from "node:assert/strict";
import { test } from "node:test";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { createWatchable } from "../watchable.ts";
import { listenXds } from "../xds/listen.ts";
import { createXdsServer } from "../xds/server.ts";
import { createSnapshot } from "../xds/snapshot.ts";
import { createDiscoveryLink } from "./discovery-link.ts";

test("a connection on which nothing happens is given up, and another one is made", async (t) => {
  const ended = new AbortController();
  t.after(() => ended.abort());
  const discovery = createXdsServer({
    snapshotFor: () => createWatchable(createSnapshot([])),
    log: silentLog,
  });
  const proxy = await startTcpProxy(t, await listenXds(discovery, "127.0.0.1", 0, ended.signal));
  proxy.silence();
  const link = createDiscoveryLink(
    { target: `127.0.0.1:${proxy.port}`, connectTimeoutMs: 200 },
    ended.signal,
  );
  const there = link.whenThere(ended.signal);
  await until("it is given up", () => proxy.accepted >= 2);
  assert.equal(await link.isThere(), false);
  proxy.mend();
  await there;
  assert.equal(await link.isThere(), true);
});
