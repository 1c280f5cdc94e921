import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, type TestContext, test } from "node:test";
import {
  clusterResource,
  extensionResource,
  listenerResource,
  slotJson,
  wasmJson,
} from "../peers/ads-resources.ts";
import { followWithEnvoy, followWithGateway, startAdsServer } from "../peers/ads-server.ts";
import { guestModule } from "../peers/guest-module.ts";
import { openStream, startLongUpstream } from "../peers/long-upstream.ts";
import { freePort } from "../peers/ports.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const directory = mkdtempSync(join(tmpdir(), "traps-"));
after(() => rmSync(directory, { recursive: true }));
/** Traps at the headers of a request that has a body. */
const file = join(directory, "trapping.wasm");
writeFileSync(file, guestModule({ callbacks: { on_request_headers: [{ trapIfParameter: 2, is: 0 }] } }));

const trapping = (policy: string, configuration: string) =>
  extensionResource(wasmJson("trap", { file, configuration, more: { failure_policy: policy } }));

function post(port: number): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, method: "POST", agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    sent.on("error", reject).end("body");
  });
}

for (const peer of ["the embedded gateway", "Envoy"] as const) {
  suite(`a plugin that traps, in ${peer}`, () => {
    const follow = peer === "Envoy" ? followWithEnvoy : followWithGateway;

    /** A listener with the plugin, another without it, and a connection with a request and a stream at each. */
    async function start(t: TestContext, policy: string) {
      const upstream = await startLongUpstream();
      t.after(() => upstream.close());
      const [port, besidePort] = [await freePort(), await freePort()];
      const server = await startAdsServer(t, {
        cluster: [clusterResource("up", upstream.port)],
        listener: [
          listenerResource("l", port, { filters: [slotJson("trap")] }),
          listenerResource("beside", besidePort, {}),
        ],
        extensionConfig: [trapping(policy, "1")],
      });
      await follow(t, server.port);
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      t.after(() => agent.destroy());
      const sockets = new Set<Socket>();
      agent.on("free", (socket) => sockets.add(socket));
      const status = async () => (await get(port, "/", "a.com", agent)).status;
      await until("it serves", async () => (await get(port, "/", "a.com")).status === 200);
      await until("the other serves", async () => (await get(besidePort, "/", "a.com")).status === 200);
      assert.equal(await status(), 200);
      const stream = await openStream(besidePort, "a.com");
      const finish = async () => {
        upstream.tick("still there;");
        await stream.receives("still there;");
        stream.close();
        assert.equal(sockets.size, 1);
      };
      return { port, server, status, finish };
    }

    test("with FAIL_RELOAD a new Vm follows by itself; connections stay", async (t) => {
      const { port, status, finish } = await start(t, "FAIL_RELOAD");
      assert.equal(await post(port), 503);
      assert.equal(await status(), 503);
      await until("a new Vm serves", async () => (await status()) === 200);
      assert.equal(await post(port), 503);
      await finish();
    });

    test("with FAIL_CLOSED requests fail until the plugin changes; connections stay", async (t) => {
      const { port, server, status, finish } = await start(t, "FAIL_CLOSED");
      assert.equal(await post(port), 503);
      assert.equal(await status(), 503);
      server.set({ extensionConfig: [trapping("FAIL_CLOSED", "2")] });
      await until("the edit brings it back", async () => (await status()) === 200);
      await finish();
    });

    test("with FAIL_OPEN requests pass it by; connections stay", async (t) => {
      const { port, status, finish } = await start(t, "FAIL_OPEN");
      // Unlike Envoy the embedded gateway lets also this one pass.
      assert.equal(await post(port), peer === "Envoy" ? 503 : 200);
      assert.equal(await status(), 200);
      await finish();
    });
  });
}
