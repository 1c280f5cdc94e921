import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, suite, test } from "node:test";
import { connect as connectTls } from "node:tls";
import type { JsonObject } from "@bufbuild/protobuf";
import { FilterChainConfigSchema } from "../../src/gen/envoy/extensions/filters/http/filter_chain/v3/filter_chain_pb.ts";
import {
  certificateResource,
  chainResource,
  clusterResource,
  extensionResource,
  listenerResource,
  slotJson,
  wasmJson,
} from "../peers/ads-resources.ts";
import { followWithEnvoy, followWithGateway, startAdsServer } from "../peers/ads-server.ts";
import { makeCertificate } from "../peers/certificate.ts";
import { runUpstream } from "../peers/gateway.ts";
import { guestModule } from "../peers/guest-module.ts";
import { freePort } from "../peers/ports.ts";
import { get } from "../peers/request.ts";
import { until } from "../peers/until.ts";

const directory = mkdtempSync(join(tmpdir(), "refused-"));
after(() => rmSync(directory, { recursive: true }));

const built = (name: string) => join(import.meta.dirname, `../../build/plugins/${name}.wasm`);
const trapping = join(directory, "trapping.wasm");
writeFileSync(trapping, guestModule({ callbacks: { on_configure: ["trap"] } }));
const broken = join(directory, "broken.wasm");
writeFileSync(broken, "no module");

const none = join(directory, "none.pem");
writeFileSync(none, "none");
const [one, two] = [makeCertificate(directory, "one"), makeCertificate(directory, "two")];

/** Whose certificate a listener shows. */
async function subjectAt(port: number): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port, servername: "a.com", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const { subject } = socket.getPeerCertificate();
  socket.destroy();
  return String(subject.CN);
}

/** A plugin that marks requests; the upstream sends the marks back. */
function marking(name: string, value: string, more: JsonObject = {}): JsonObject {
  const rule = { operate: "append", headers: [{ key: "x-trail", appendValue: value }] };
  return wasmJson(name, {
    file: built("transformer"),
    configuration: JSON.stringify({ respRules: [rule] }),
    more,
  });
}

const refusing = (name: string, more: JsonObject = {}) =>
  wasmJson(name, { file: built("transformer"), configuration: '{"respRules":1}', more });

const failOpen: JsonObject = { failure_policy: "FAIL_OPEN" };

/** What does not start, and what is said of it. */
const faults: readonly { what: string; filter: (name: string) => JsonObject; reason: RegExp }[] = [
  {
    what: "refuses its configuration",
    filter: (name) => refusing(name),
    reason: /^Unable to create Wasm plugin p/m,
  },
  {
    what: "refuses its configuration and fails open",
    filter: (name) => refusing(name, failOpen),
    reason: /^Unable to create Wasm plugin p/m,
  },
  {
    what: "traps, and fails open",
    filter: (name) => wasmJson(name, { file: trapping, more: failOpen }),
    reason: /^Unable to create Wasm plugin p/m,
  },
  {
    what: "is no module",
    filter: (name) => wasmJson(name, { file: broken }),
    reason: /^Unable to create Wasm plugin p/m,
  },
  {
    what: "has no file",
    filter: (name) => wasmJson(name, { file: join(directory, "absent.wasm") }),
    reason: /absent\.wasm/,
  },
];

for (const peer of ["the embedded gateway", "Envoy"] as const) {
  suite(`what is refused by ${peer}`, () => {
    const follow = peer === "Envoy" ? followWithEnvoy : followWithGateway;

    for (const { what, filter, reason } of faults) {
      test(`one that ${what} is refused; its last good version stays and others go on`, async (t) => {
        const upstream = await runUpstream(t, (_, response) => response.end("ok"));
        const port = await freePort();
        const server = await startAdsServer(t, {
          cluster: [clusterResource("up", upstream.port)],
          listener: [listenerResource("l", port, { filters: [slotJson("p"), slotJson("q")] })],
          extensionConfig: [extensionResource(marking("p", "p1")), extensionResource(marking("q", "q1"))],
        });
        await follow(t, server.port);
        const trail = async () => (await get(port, "/", "a.com")).headers["x-trail"];
        await until("it serves", async () => (await trail()) === "q1, p1");
        server.set({
          extensionConfig: [extensionResource(filter("p")), extensionResource(marking("q", "q1"))],
        });
        await until("it is refused", () => server.refused("extensionConfig").has("p"));
        assert.match(server.refused("extensionConfig").get("p")!.replace(/^p: /, ""), reason);
        assert.equal(await trail(), "q1, p1");
        server.set({
          extensionConfig: [extensionResource(filter("p")), extensionResource(marking("q", "q2"))],
        });
        await until("another plugin is edited", async () => (await trail()) === "q2, p1");
        server.set({
          extensionConfig: [extensionResource(marking("p", "p2")), extensionResource(marking("q", "q2"))],
        });
        await until("it is mended", async () => (await trail()) === "q2, p2");
        await server.answered();
        assert.equal(server.refused("extensionConfig").size, 0);
      });
    }

    test("a chain with one that does not start is refused, and the chain before stays", async (t) => {
      const upstream = await runUpstream(t, (_, response) => response.end("ok"));
      const port = await freePort();
      const server = await startAdsServer(t, {
        cluster: [clusterResource("up", upstream.port)],
        listener: [listenerResource("l", port, { filters: [slotJson("chain", FilterChainConfigSchema)] })],
        extensionConfig: [chainResource("chain", marking("a", "a1"))],
      });
      await follow(t, server.port);
      const trail = async () => (await get(port, "/", "a.com")).headers["x-trail"];
      await until("it serves", async () => (await trail()) === "a1");
      server.set({ extensionConfig: [chainResource("chain", marking("a", "a2"), refusing("b"))] });
      await until("it is refused", () => server.refused("extensionConfig").has("chain"));
      assert.match(server.refused("extensionConfig").get("chain")!, /Unable to create Wasm plugin b/);
      assert.equal(await trail(), "a1");
    });

    test("a listener with one that does not start is refused, and the one before stays", async (t) => {
      const upstream = await runUpstream(t, (_, response) => response.end("ok"));
      const port = await freePort();
      const server = await startAdsServer(t, {
        cluster: [clusterResource("up", upstream.port)],
        listener: [listenerResource("l", port, { filters: [marking("a", "a1")] })],
      });
      await follow(t, server.port);
      const trail = async () => (await get(port, "/", "a.com")).headers["x-trail"];
      await until("it serves", async () => (await trail()) === "a1");
      server.set({
        listener: [listenerResource("l", port, { filters: [marking("a", "a2"), refusing("b")] })],
      });
      await until("it is refused", () => server.refused("listener").has("l"));
      assert.match(server.refused("listener").get("l")!, /Unable to create Wasm plugin b/);
      assert.equal(await trail(), "a1");
    });

    test("a listener whose port is taken is refused, and the one before stays", async (t) => {
      const upstream = await runUpstream(t, (_, response) => response.end("ok"));
      const [port, taken] = [await freePort(), await freePort()];
      const other = createServer().listen(taken, "127.0.0.1");
      t.after(() => other.close());
      const server = await startAdsServer(t, {
        cluster: [clusterResource("up", upstream.port)],
        listener: [listenerResource("l", port, {})],
      });
      await follow(t, server.port);
      await until("it serves", async () => (await get(port, "/", "a.com")).status === 200);
      server.set({ listener: [listenerResource("l", taken, {})] });
      await until("it is refused", () => server.refused("listener").has("l"));
      assert.match(server.refused("listener").get("l")!, new RegExp(`127\\.0\\.0\\.1:${taken}`));
      assert.equal((await get(port, "/", "a.com")).status, 200);
    });

    for (const [what, wrong] of [
      ["is none", { certificate: none, key: one.key }],
      ["has another key", { certificate: one.certificate, key: two.key }],
    ] as const) {
      test(`a certificate that ${what} is refused, and the one before stays`, async (t) => {
        const upstream = await runUpstream(t, (_, response) => response.end("ok"));
        const port = await freePort();
        const server = await startAdsServer(t, {
          cluster: [clusterResource("up", upstream.port)],
          listener: [listenerResource("l", port, { certificate: "cert" })],
          secret: [certificateResource("cert", one)],
        });
        await follow(t, server.port);
        await until("it serves", async () => (await subjectAt(port)) === "one");
        server.set({ secret: [certificateResource("cert", wrong)] });
        await until("it is refused", () => server.refused("secret").has("cert"));
        assert.match(server.refused("secret").get("cert")!, /Failed to load/);
        assert.equal(await subjectAt(port), "one");
        server.set({ secret: [certificateResource("cert", two)] });
        await until("it is mended", async () => (await subjectAt(port)) === "two");
      });
    }
  });
}
