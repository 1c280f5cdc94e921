import assert from "node:assert/strict";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { fileURLToPath } from "node:url";
import { writePluginImage } from "../../src/oci/image-layout.ts";
import { buildGuest } from "../guests/build-guests.ts";
import { gateways } from "../peers/gateways.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { ecdsStatus, moduleStatus } from "./status.ts";

const transformer = fileURLToPath(new URL("../../build/plugins/transformer.wasm", import.meta.url));
const registry = "higress-registry.cn-hangzhou.cr.aliyuncs.com/plugins";
const namespace = "higress-course";
let files: SeedFiles;
let up: Program;

/** Which of the plugin's configurations applied to a request that an earlier plugin sends to another path, if one is given. */
async function ruleFor(path: string, host = "go.com", to?: string): Promise<unknown> {
  const { status, headers } = await get(
    files.trafficPort,
    path,
    host,
    undefined,
    to === undefined ? {} : { "x-to": to },
  );
  assert.equal(status, 200);
  return headers["x-rule"];
}

for (const [gateway, chain] of gateways.flatMap((each) =>
  ["listener", "dynamic"].map((shape) => [each, shape] as const),
))
  suite(`gateway: ${gateway}, --chain=${chain}`, () => {
    before(async () => {
      const [goRules, transform] = await Promise.all([buildGuest("go-rules"), readFile(transformer)]);
      files = await layOutSeed(gateway);
      for (const name of ["chain.yaml", "custom-response.yaml"]) await rm(join(files.dir, name));
      const layout = join(files.dataDir, "..", "images");
      await publish(layout, "go-rules", await readFile(goRules));
      await publish(layout, "reroute", transform);
      await write("ingresses.yaml", [
        ingress("plain", "go.com", "/", "echo-server"),
        ingress("by-route", "go.com", "/route", "echo-server"),
        ingress("by-service", "go.com", "/service", "other-server"),
        ingress("by-domain", "domain.com", "/", "echo-server"),
      ]);
      await write("plugins.yaml", [
        plugin("reroute", 20, {
          defaultConfig: {
            reqRules: [{ operate: "map", headers: [{ fromKey: "x-to", toKey: ":path" }] }],
          },
        }),
        plugin("go-rules", 10, {
          defaultConfig: { rule: "default" },
          matchRules: [
            { domain: ["domain.com"], config: { rule: "domain" } },
            { ingress: [`${namespace}/by-route`], config: { rule: "route" } },
            { service: [`other-server.${namespace}.svc.cluster.local`], config: { rule: "service" } },
          ],
        }),
      ]);
      up = startWasmline(["up", "-f", files.dir, ...files.flags, "--layout", layout, "--chain", chain]);
      await up.waitFor("stdout", /^ready .*$/m, 180_000);
    });
    after(async () => {
      await up?.stop();
      await files?.close();
    });

    test("a plugin of Higress' Go SDK works unchanged, and the status says what was adapted for a stock Envoy", async () => {
      assert.match(up.stdout(), / 2 plugins in effect$/m);
      const module = await moduleStatus(files.offset, "go-rules");
      const adapted = gateway === "envoy" ? ["marker", "property names"] : undefined;
      assert.deepEqual(module?.adapted, adapted);
      assert.equal(/^[0-9a-f]{64}$/.test(module?.adaptedFrom ?? ""), adapted !== undefined);
      assert.equal(up.stderr().includes("adapted a module to stock Envoy"), adapted !== undefined);
      assert.equal((await ecdsStatus(files.offset, "go-rules"))?.state, "SYNCED");
    });

    test("its rules by domain, by route and by service match, and its default where none does", async () => {
      assert.equal(await ruleFor("/", "domain.com"), "domain");
      assert.equal(await ruleFor("/route"), "route");
      assert.equal(await ruleFor("/service"), "service");
      assert.equal(await ruleFor("/"), "default");
    });

    test("its rules go by the route that an earlier plugin made of it", async () => {
      assert.equal(await ruleFor("/", "go.com", "/route"), "route");
      assert.equal(await ruleFor("/", "go.com", "/service"), "service");
      assert.equal(await ruleFor("/route", "go.com", "/service/a"), "service");
      assert.equal(await ruleFor("/service", "go.com", "/"), "default");
      assert.equal(await ruleFor("/route", "go.com", "/route/b"), "route");
    });
  });

function publish(layout: string, name: string, wasm: Uint8Array): Promise<unknown> {
  return writePluginImage(layout, { repository: `plugins/${name}`, tag: "1.0.0", wasm });
}

function write(name: string, resources: readonly object[]): Promise<void> {
  return writeFile(join(files.dir, name), resources.map((each) => JSON.stringify(each)).join("\n---\n"));
}

function ingress(name: string, host: string, path: string, service: string) {
  const backend = { service: { name: service, port: { number: 8080 } } };
  const rules = [{ host, http: { paths: [{ path, pathType: "Prefix", backend }] } }];
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, namespace },
    spec: { rules },
  };
}

function plugin(name: string, priority: number, spec: object) {
  return {
    apiVersion: "extensions.higress.io/v1alpha1",
    kind: "WasmPlugin",
    metadata: { name, namespace: "higress-system" },
    spec: { priority, url: `oci://${registry}/${name}:1.0.0`, ...spec },
  };
}
