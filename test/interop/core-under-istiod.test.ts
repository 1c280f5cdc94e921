// A real istiod in the place of our discovery: it follows our core by MCP, and our agents follow it.
import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { onEachGateway } from "../peers/gateways.ts";
import { type Istiod, startIstiod } from "../peers/istiod.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";

let plane: Kubernetes;
let endPlane: () => Promise<void>;

suite("core under an istiod, and agents before it", () => {
  before(async () => {
    ({ plane, end: endPlane } = await startKubernetes());
    await plane.kubectl(["create", "namespace", "higress-system"]);
  });
  after(() => endPlane());

  onEachGateway((gateway) => {
    let files: SeedFiles;
    let roles: SeparateRoles;
    let istiod: Istiod;

    before(async () => {
      files = await layOutSeed(gateway);
      const [grpcPort, securePort] = [15010 + files.offset, 15012 + files.offset];
      const [ca, token] = [join(files.dir, "..", "ca.pem"), join(files.dir, "..", "token")];
      // One of them as gateways of other machines: with TLS and a token.
      const isSecure = gateway === "envoy";
      const tls = ["--discovery", `localhost:${securePort}`, "--discovery-ca", ca, "--token-file", token];
      roles = createSeparateRoles(files, ...(isSecure ? tls : []));
      roles.start("registry");
      roles.start("core");
      const corePort = 8888 + files.offset;
      await until("core is ready", async () => (await fetch(`http://127.0.0.1:${corePort}/ready`)).ok);
      const mcp = `127.0.0.1:${15051 + files.offset}`;
      istiod = await startIstiod({ plane, mcp, grpcPort, securePort });
      await writeFile(ca, istiod.authority);
      await writeFile(token, await plane.token("higress-system", gateway, { audience: "istio-ca" }));
      for (const role of roles.all.filter((one) => one === "agent" || one === "gateway")) roles.start(role);
      await until("the gateway answers", () => get(files.trafficPort, "/", "foo.com").catch(() => undefined));
    });
    after(async () => {
      await roles.close();
      await istiod?.stop();
      await files.close();
    });

    for (const { rule, host, header, value, body } of outcomes)
      test(`${host} gets ${rule}`, async () => {
        const answer = await until("the plugins are in effect", async () => {
          const found = await get(files.trafficPort, "/", host);
          return found.headers[header] === value ? found : undefined;
        });
        assert.deepEqual([answer.status, answer.body], [200, body]);
      });

    test("an edit takes effect", async () => {
      await files.edit("custom-response.yaml", (text) => text.replace("key1=value1", "key1=edited"));
      await until(
        "the edit is in effect",
        async () => (await get(files.trafficPort, "/", "other.com")).headers.key1 === "edited",
      );
    });

    test("istiod lists the gateway, and says of its plugins that it has them", async () => {
      const response = await fetch(`http://127.0.0.1:${istiod.monitoringPort}/debug/syncz`);
      const [status] = (await response.json()) as { proxy: string; extensionconfig_acked?: string }[];
      assert.equal(status?.proxy, "gateway.higress-system");
      assert.ok(status.extensionconfig_acked, JSON.stringify(status));
    });

    test("a removed plugin is gone, and the upstream answers", async () => {
      await files.edit("custom-response.yaml", () => "");
      const answer = await until("the upstream answers", async () => {
        const found = await get(files.trafficPort, "/tea", "other.com");
        return found.headers.key1 === undefined ? found : undefined;
      });
      assert.deepEqual([answer.status, answer.body], [200, "upstream /tea\n"]);
    });
  });
});
