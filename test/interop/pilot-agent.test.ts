// Istio's own agent, with Envoy, before our discovery in the place of an istiod.
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { ecdsStatus, getJson, listenerChanges } from "../e2e/status.ts";
import { startSteadyRequests } from "../e2e/steady-requests.ts";
import { makeCertificate } from "../peers/certificate.ts";
import { httpsIngress } from "../peers/https-ingress.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { type PilotAgent, type PilotAgentOptions, startPilotAgent } from "../peers/pilot-agent.ts";
import { get } from "../peers/request.ts";
import { reviewerKubeconfig } from "../peers/reviewer.ts";
import { getVerified } from "../peers/secure-request.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { watchRegistry } from "../peers/watched-registry.ts";

const original = "higress-registry.cn-hangzhou.cr.aliyuncs.com";

/** How the agent comes to discovery. */
const ways = [
  { name: "plaintext, state of the world, its DNS server on", isSecure: false, incremental: false },
  { name: "TLS and a token, incremental", isSecure: true, incremental: true },
] as const;

suite("Istio's agent before discovery", () => {
  let plane: Kubernetes;
  let endPlane: () => Promise<void>;
  before(async () => {
    ({ plane, end: endPlane } = await startKubernetes());
  });
  after(() => endPlane?.());

  for (const { name, isSecure, incremental } of ways)
    suite(name, () => {
      let files: SeedFiles;
      let roles: SeparateRoles;
      let options: PilotAgentOptions;
      let agent: PilotAgent;
      let registry: string;
      let held: Awaited<ReturnType<typeof watchRegistry>>;
      let release: () => void;
      const released = new Promise<void>((resolve) => {
        release = resolve;
      });

      const key1 = async () => (await get(files.trafficPort, "/", "other.com")).headers.key1;
      const edit = (change: (text: string) => string) => files.edit("custom-response.yaml", change);

      before(async () => {
        files = await layOutSeed("envoy");
        registry = `127.0.0.1:${5080 + files.offset}`;
        held = await watchRegistry(registry, released);
        // It knows no mirrors.
        for (const file of ["custom-response.yaml", "chain.yaml"])
          await files.edit(file, (text) => text.replaceAll(original, registry));
        const base = join(files.dir, "..");
        // The name that it insists on where it is told to connect to localhost.
        const { certificate, key } = makeCertificate(base, "discovery", "DNS:istiod.istio-system.svc");
        const review = [
          ...["--tls-cert", certificate, "--tls-key", key, "--token-review", "--require-authentication"],
          ...["--kubeconfig", await reviewerKubeconfig(plane)],
        ];
        // It knows no modules within a chain, so the chain has to be in the listener.
        const chain = ["--chain", "dynamic"];
        roles = createRoles(files, {
          core: ["-f", files.dir],
          discovery: [...chain, ...(isSecure ? review : [])],
        });
        for (const role of ["registry", "core", "discovery"] as const) roles.start(role);
        const token = await plane.token("higress-system", "gateway", { audience: "istio-ca" });
        options = {
          ...{ incremental, adminPort: files.adminPort, insecureRegistries: [registry, held.host] },
          ...(isSecure
            ? {
                discovery: `localhost:${15012 + files.offset}`,
                secure: { authority: await readFile(certificate, "utf8"), token },
                asksForCertificates: true,
              }
            : { discovery: `127.0.0.1:${15010 + files.offset}`, dns: true }),
        };
        agent = await startReadyAgent(options);
      });
      after(async () => {
        release();
        await agent?.stop();
        await roles?.close();
        await held?.stop();
        await files?.close();
      });

      for (const { rule, host, header, value, body } of outcomes)
        test(`${host} gets ${rule}`, async () => {
          const { status, headers, body: found } = await get(files.trafficPort, "/", host);
          assert.deepEqual([status, headers[header], found], [200, value, body]);
        });

      test("discovery knows who it is, and that it has all plugins", async () => {
        type Status = { proxy: string; service_account?: string };
        const [status] = await getJson<Status[]>(15014 + files.offset, "/debug/syncz");
        assert.equal(status?.proxy, "istio-gateway.higress-system");
        assert.equal(status.service_account, isSecure ? "higress-system/gateway" : undefined);
        for (const plugin of ["custom-response", "wasm-transformer", "wasm-keyauth", "easy-logger"])
          await until(
            `${plugin} is in effect`,
            async () => (await ecdsStatus(files.offset, plugin))?.state === "SYNCED",
          );
      });

      test("an edit takes effect without a failed request, and changes no listener", async () => {
        const listeners = await listenerChanges(files.adminPort);
        const values: unknown[] = ["value1", "edited"];
        const requests = startSteadyRequests(files.trafficPort, "other.com", ({ status, headers }) =>
          status === 200 && values.includes(headers.key1) ? "" : `${status}, key1 is ${headers.key1}`,
        );
        await edit((text) => text.replace("key1=value1", "key1=edited"));
        await until("the edit is in effect", async () => (await key1()) === "edited");
        values.shift();
        const answers = requests.answers;
        await until("it stays", () => requests.answers > answers + 50);
        await requests.finish();
        assert.deepEqual(await listenerChanges(files.adminPort), listeners);
      });

      test("of two edits the later stays, though the module of the earlier takes longer to pull", async () => {
        await edit((text) => text.replace(registry, held.host).replace("key1=edited", "key1=slow"));
        await until("the pull has begun", () => held.asked.size > 0);
        await edit((text) => text.replace(held.host, registry).replace("key1=slow", "key1=later"));
        await until("discovery has the later", async () =>
          (await get(15014 + files.offset, "/debug/configz")).body.includes("key1=later"),
        );
        release();
        await until(
          "the gateway has all that it was sent",
          async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "SYNCED",
        );
        await until("the later is in effect", async () => (await key1()) === "later");
      });

      test("an edit that is made while discovery is away arrives when it is back", async () => {
        await roles.stop("discovery", "SIGKILL");
        await edit((text) => text.replace("key1=later", "key1=meanwhile"));
        assert.equal(await key1(), "later");
        roles.start("discovery");
        await until("the edit is in effect", async () => (await key1()) === "meanwhile", 60_000);
      });

      test("while there is no module, failStrategy decides, and with one the plugin is in effect", async () => {
        const respond = async () => {
          const { status, headers } = await get(files.trafficPort, "/", "other.com");
          return [status, headers.key1];
        };
        await edit((text) =>
          text.replace(":1.0.0", ":none").replace("spec:", "spec:\n  failStrategy: FAIL_OPEN"),
        );
        await until("requests pass", async () => isDeepStrictEqual(await respond(), [200, undefined]));
        await edit((text) => text.replace("FAIL_OPEN", "FAIL_CLOSE"));
        await until("requests are refused", async () => isDeepStrictEqual(await respond(), [403, undefined]));
        await until(
          "the agent has taken it all the same",
          async () => (await ecdsStatus(files.offset, "custom-response"))?.state === "SYNCED",
        );
        await edit((text) => text.replace(":none", ":1.0.0"));
        await until("it is in effect", async () => isDeepStrictEqual(await respond(), [200, "meanwhile"]));
      });

      test("an HTTPS Ingress gets its certificate from a Secret", async () => {
        const own = makeCertificate(join(files.dir, ".."), "secure", "DNS:secure.com");
        const pem = {
          certificate: await readFile(own.certificate, "utf8"),
          key: await readFile(own.key, "utf8"),
        };
        await writeFile(
          join(files.dir, "secure.json"),
          JSON.stringify(httpsIngress("secure", "secure.com", pem)),
        );
        const answer = await until("it answers", () =>
          getVerified(8443 + files.offset, "secure.com", [pem.certificate]).catch(() => undefined),
        );
        assert.equal(answer.status, 200);
      });

      test("a removed plugin is gone, and the upstream answers", async () => {
        await files.edit("custom-response.yaml", () => "");
        const answer = await until("the upstream answers", async () => {
          const found = await get(files.trafficPort, "/tea", "other.com");
          return found.headers.key1 === undefined ? found : undefined;
        });
        assert.deepEqual([answer.status, answer.body], [200, "upstream /tea\n"]);
        assert.equal(answer.headers["x-transformed"], "yes");
      });

      if (isSecure)
        test("it asks for a certificate in vain, and for none when it is told that there are files", async () => {
          const { stdout } = agent;
          await until("it says that it got none", () =>
            /failed to warm certificate.*Unimplemented/.test(stdout()),
          );
          await agent.stop();
          agent = await startReadyAgent({ ...options, asksForCertificates: false });
          assert.doesNotMatch(agent.stdout(), /ca request failed|failed to warm certificate|failed to sign/);
          assert.equal((await get(files.trafficPort, "/tea", "other.com")).body, "upstream /tea\n");
        });
    });
});

async function startReadyAgent(options: PilotAgentOptions): Promise<PilotAgent> {
  const agent = await startPilotAgent(options);
  await until("the agent says that it is ready", agent.isReady, 60_000).catch(async (error) => {
    await agent.stop();
    throw new Error(`${error}\n${agent.stdout().slice(-6000)}${agent.stderr()}`);
  });
  return agent;
}
