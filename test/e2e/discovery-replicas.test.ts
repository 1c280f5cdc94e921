import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { appendFile, copyFile, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { connect } from "node:tls";
import { type CertificateFiles, makeCertificate } from "../peers/certificate.ts";
import { gateways } from "../peers/gateways.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { freePort } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { reviewerKubeconfig } from "../peers/reviewer.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createSeparateRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { getJson } from "./status.ts";
import { type SteadyRequests, startSteadyRequests } from "./steady-requests.ts";

// Two discoveries, an agent that knows both over TLS and proves itself by a token, and requests all the time.

const host = "other.com";
const audience = ["--token-audience", "istio-ca"];

let plane: Kubernetes;
let endPlane: () => Promise<void>;
let reviewer: string;
before(async () => {
  ({ plane, end: endPlane } = await startKubernetes());
  reviewer = await reviewerKubeconfig(plane);
});
after(() => endPlane?.());

interface Replica {
  readonly program: Program;
  readonly securePort: number;
  readonly httpPort: number;
}

for (const gateway of gateways) {
  suite(`gateway: ${gateway}`, () => {
    let directory: string;
    let certificate: CertificateFiles;
    let files: SeedFiles;
    let roles: SeparateRoles;
    let ports: readonly number[];
    let replicas: readonly Replica[];
    let requests: SteadyRequests;
    /** What `key1` may be now: an edit may be in effect or not. */
    let expected: readonly (string | undefined)[] = ["value1"];
    const file = (name: string) => join(directory, name);

    before(async () => {
      directory = await mkdtemp(join(tmpdir(), "replicas-"));
      certificate = makeCertificate(directory, "discovery");
      await copyFile(certificate.certificate, file("ca.pem"));
      await newToken();
      files = await layOutSeed(gateway);
      ports = [await freePort(), await freePort()];
      replicas = await Promise.all(ports.map(startReplica));
      const addresses = ports.map((port) => `127.0.0.1:${port}`).join(",");
      const tls = ["--discovery-ca", file("ca.pem"), "--token-file", file("token")];
      roles = createSeparateRoles(files, "--discovery", addresses, ...tls);
      for (const role of roles.all) if (role !== "discovery") roles.start(role);
      await until("traffic is served", async () => (await key1()) === "value1", 60_000);
      requests = startSteadyRequests(files.trafficPort, host, ({ headers }) =>
        expected.includes(headers.key1 as string)
          ? ""
          : `key1 is ${headers.key1}, not ${expected.join(" or ")}`,
      );
    });
    after(async () => {
      await roles?.close();
      await Promise.all((replicas ?? []).map(({ program }) => program.stop("SIGKILL")));
      await files?.close();
      await rm(directory, { recursive: true, force: true });
    });

    async function newToken(): Promise<void> {
      await writeFile(file("next"), await plane.token("higress-system", "gateway", { audience: "istio-ca" }));
      await rename(file("next"), file("token"));
    }

    /** Starts a discovery at one of the addresses that the agent knows. */
    async function startReplica(securePort: number): Promise<Replica> {
      const [xdsPort, httpPort] = [await freePort(), await freePort()];
      const flags = ["--xds-port", xdsPort, "--secure-port", securePort, "--discovery-port", httpPort];
      const program = startWasmline([
        ...["discovery", "--core", `127.0.0.1:${15051 + files.offset}`, ...flags.map(String)],
        ...[
          "--tls-cert",
          certificate.certificate,
          "--tls-key",
          certificate.key,
          "--token-review",
          ...audience,
        ],
        ...["--kubeconfig", reviewer],
        ...["--require-authentication", "--max-connection-age", "2", "--drain-seconds", "1"],
      ]);
      return { program, securePort, httpPort };
    }

    const key1 = async () => (await get(files.trafficPort, "/", host)).headers.key1;

    /** Edits a plugin and waits until it is in effect. */
    async function edit(value: string): Promise<void> {
      const before = expected[0];
      expected = [before, value];
      await files.edit("custom-response.yaml", (text) => text.replace(`key1=${before}`, `key1=${value}`));
      await until(`${value} is in effect`, async () => (await key1()) === value, 30_000);
      expected = [value];
    }

    const gatewaysOf = ({ httpPort }: Replica) => getJson<unknown[]>(httpPort, "/debug/syncz");
    /** The one that the gateway is connected to. */
    const connectedReplica = () =>
      until("the gateway is connected", async () => {
        for (const replica of replicas)
          if ((await gatewaysOf(replica).catch(() => [])).length > 0) return replica;
        return undefined;
      });

    test("the gateway goes from one discovery to the other as its connections get old", async () => {
      const seen = new Set<Replica>();
      await until(
        "both have had it",
        async () => {
          seen.add(await connectedReplica());
          return seen.size === 2;
        },
        60_000,
      );
      await edit("while-they-change");
    });

    test("the one it is connected to is killed: the next edit arrives through the other", async () => {
      const killed = await connectedReplica();
      await killed.program.stop("SIGKILL");
      replicas = replicas.filter((replica) => replica !== killed);
      await edit("after-a-kill");
    });

    test("a certificate that is replaced together with its authority is shown to new connections", async () => {
      const next = makeCertificate(directory, "next");
      const known = await readFile(certificate.certificate, "utf8");
      await appendFile(file("ca.pem"), await readFile(next.certificate, "utf8"));
      await rename(next.key, certificate.key);
      await rename(next.certificate, certificate.certificate);
      const [replica] = replicas as [Replica];
      const shown = await until("the new one is shown", async () => {
        const fingerprint = await shownBy(replica.securePort);
        return fingerprint !== new X509Certificate(known).fingerprint256 && fingerprint;
      });
      assert.equal(shown, new X509Certificate(await readFile(certificate.certificate)).fingerprint256);
      // Only the new authority is left: what is connected from now on goes by it.
      await copyFile(certificate.certificate, file("ca.pem"));
      await until("the agent has read it", () =>
        roles.stderr("agent").match(/the authorities was read again/),
      );
      await edit("after-a-rotation");
    });

    test("with a bad token the gateway serves on, and with a good one it is back", async () => {
      await writeFile(file("token"), "not-a-token");
      await until("it is refused", () => roles.stderr("agent").includes("UNAUTHENTICATED"), 60_000);
      assert.equal(await key1(), expected[0]);
      await newToken();
      await edit("after-a-bad-token");
    });

    test("a discovery that ends sends the gateway to the other, and ends well", async () => {
      const ending = await connectedReplica();
      replicas = [await startReplica(ports.find((port) => port !== ending.securePort)!)];
      assert.equal(await ending.program.stop("SIGTERM"), 0);
      assert.match(ending.program.stderr(), /sending gateways away/);
      await edit("after-an-end");
    });

    test("no request failed all the time", () => requests.finish());
  });
}

/** The fingerprint of the certificate that a port shows. */
function shownBy(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"] });
    // It may break more than once while the certificate changes.
    socket.on("error", reject);
    socket.once("secureConnect", () => {
      resolve(socket.getPeerCertificate().fingerprint256);
      socket.destroy();
    });
  });
}
