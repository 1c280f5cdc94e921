import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { makeCertificate } from "../../test/peers/certificate.ts";
import { kubeconfigThrough, writeKubeconfig } from "../../test/peers/kubeconfig.ts";
import { type Kubernetes, runKubernetes } from "../../test/peers/kubernetes.ts";
import { startProgram } from "../../test/peers/program.ts";
import { startTcpProxy, type TcpProxy } from "../../test/peers/tcp-proxy.ts";
import { startTlsTerminator } from "../../test/peers/tls-terminator.ts";
import { until } from "../../test/peers/until.ts";
import {
  type ConnectOptions,
  connectKubernetes,
  type KubernetesClient,
  type WatchOptions,
} from "./client.ts";

const path = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, value = "1") => ({
  ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name } },
  data: { value },
});

const portOf = ({ url }: Kubernetes) => Number(new URL(url).port);

interface Through {
  readonly proxy: TcpProxy;
  readonly client: KubernetesClient;
}

async function connectThrough(t: TestContext, plane: Kubernetes, options?: ConnectOptions): Promise<Through> {
  const proxy = await startTcpProxy(t, portOf(plane));
  const kubeconfig = await kubeconfigThrough(plane, proxy.port);
  return {
    proxy,
    client: await connectKubernetes({ kubeconfig, perSecond: 10_000, burst: 10_000, ...options }),
  };
}

interface Watched {
  /** Names of the objects that it has told of. */
  readonly names: string[];
  readonly isOpen: boolean;
  /** Resolves with why it ended. */
  readonly ended: Promise<unknown>;
  stop(): void;
}

function startWatch(t: TestContext, client: KubernetesClient, name = "", idleMs = 60_000): Watched {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const names: string[] = [];
  let isOpen = false;
  const onOpen = () => {
    isOpen = true;
  };
  const options: WatchOptions = { signal: ending.signal, idleMs, onOpen };
  // Without a version the API server ends a watch after three seconds.
  const query = { resourceVersion: "0", ...(name && { fieldSelector: `metadata.name=${name}` }) };
  async function read(): Promise<unknown> {
    try {
      for await (const event of client.watch(path, query, options))
        names.push((event as { object: { metadata: { name: string } } }).object.metadata.name);
      return "ended";
    } catch (error) {
      return error;
    }
  }
  return {
    ...{ names, ended: read(), stop: () => ending.abort() },
    get isOpen() {
      return isOpen;
    },
  };
}

test("HTTP/2 with a real API server", async (t) => {
  const users = await makeUsers(t);
  // What is said of one connection takes a server that ends none.
  const [plane, steady] = await Promise.all([
    runKubernetes(t, {
      apiServerFlags: ["--goaway-chance=0.02", `--client-ca-file=${users.authorities}`],
    }),
    runKubernetes(t),
  ]);

  await t.test("requests and watches share a connection; an end of one is none of the others", async (t) => {
    const { proxy, client } = await connectThrough(t, steady);
    const watches = Array.from({ length: 20 }, () => startWatch(t, client));
    await until("all are open", () => watches.every(({ isOpen }) => isOpen));
    for (const watch of watches.slice(1)) watch.stop();
    await Promise.all(watches.slice(1).map(({ ended }) => ended));
    await client.request("POST", path, { body: configMap("shared") });
    await until("the first one is told", () => watches[0]!.names.includes("shared"));
    assert.equal(proxy.accepted, 1);
  });

  await t.test("more watches than a connection takes get further ones, and requests go on", async (t) => {
    const { proxy, client } = await connectThrough(t, plane);
    const watches = Array.from({ length: 600 }, (_, index) => startWatch(t, client, `many-${index}`));
    await until("all are open", () => watches.every(({ isOpen }) => isOpen));
    await Promise.all(
      [0, 599].map((index) => client.request("POST", path, { body: configMap(`many-${index}`) })),
    );
    await until("both are told", () => [0, 599].every((index) => watches[index]!.names.length === 1));
    assert.ok(proxy.accepted > 1 && proxy.accepted < 60, `${proxy.accepted} connections`);
  });

  await t.test("of many requests none is lost or sent twice while the server ends connections", async (t) => {
    const { proxy, client } = await connectThrough(t, plane);
    const watch = startWatch(t, client);
    await until("it is open", () => watch.isOpen);
    const names = Array.from({ length: 500 }, (_, index) => `goaway-${index}`);
    for (let at = 0; at < names.length; at += 50)
      await Promise.all(
        names.slice(at, at + 50).map((name) => client.request("POST", path, { body: configMap(name) })),
      );
    await until("the watch has told all", () => names.every((name) => watch.names.includes(name)));
    assert.ok(proxy.accepted > 1, `${proxy.accepted} connections`);
  });

  await t.test(
    "another certificate is another connection, and the old one ends with what is on it",
    async (t) => {
      const proxy = await startTcpProxy(t, portOf(plane));
      const kubeconfig = await writeKubeconfig(plane.directory, {
        ...{ server: `https://127.0.0.1:${proxy.port}`, authority: plane.caFile },
        user: { "client-certificate": users.certificate, "client-key": users.key },
      });
      await plane.kubectl([
        "create",
        "clusterrolebinding",
        "users",
        "--clusterrole=cluster-admin",
        "--user=first",
      ]);
      const client = await connectKubernetes({ kubeconfig });
      const whoAmI = async () => {
        const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" };
        const answer = await client.request("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
          body: review,
        });
        return (answer as { status: { userInfo: { username: string } } }).status.userInfo.username;
      };
      await users.become("first");
      assert.equal(await whoAmI(), "first");
      const watch = startWatch(t, client, "rotated");
      await until("it is open", () => watch.isOpen);
      await users.become("second");
      assert.equal(await whoAmI(), "second");
      await plane.kubectl(["create", "configmap", "rotated"]);
      await until("the watch has told", () => watch.names.length === 1);
      const { open } = proxy;
      watch.stop();
      await until("its connection has ended", () => proxy.open < open);
      assert.equal(await whoAmI(), "second");
    },
  );

  await t.test("a connection that stalls fails all that is on it, and the next one is as good", async (t) => {
    const { proxy, client } = await connectThrough(t, steady, { pingMs: 300 });
    const watches = [startWatch(t, client), startWatch(t, client)];
    await until("both are open", () => watches.every(({ isOpen }) => isOpen));
    proxy.stall();
    const writing = client.request("POST", path, { body: configMap("stalled") });
    const reading = client.request("GET", path);
    const isTimeout = { name: "SystemError", code: "timeout", message: /has said nothing for 0\.6 seconds/ };
    // Nobody knows whether it was done; reading does no harm twice.
    await assert.rejects(writing, isTimeout);
    await reading;
    for (const { ended } of watches) {
      const error = await ended;
      await assert.rejects(() => Promise.reject(error), isTimeout);
    }
    await client.request("GET", path);
  });

  await t.test("what a request waited for in vain is not asked anew of the same connection", async (t) => {
    const { proxy, client } = await connectThrough(t, steady);
    await client.request("GET", path);
    proxy.stall();
    await assert.rejects(client.request("GET", path, { timeoutMs: 300 }), { code: "timeout" });
    await client.request("GET", path, { timeoutMs: 5000 });
  });

  await t.test("HTTP/1.1 where something in between knows nothing else", async (t) => {
    const files = makeCertificate(plane.directory, "terminator");
    const { port } = await startTlsTerminator(t, files, portOf(plane));
    const proxy = await startTcpProxy(t, port);
    const kubeconfig = await kubeconfigThrough(plane, proxy.port, files.certificate);
    const client = await connectKubernetes({ kubeconfig });
    const watches = [startWatch(t, client, "old"), startWatch(t, client, "old")];
    await until("both are open", () => watches.every(({ isOpen }) => isOpen));
    await client.request("POST", path, { body: configMap("old") });
    await until("both have told", () => watches.every(({ names }) => names.length === 1));
    assert.equal(proxy.open, 3);
    for (const watch of watches) watch.stop();
    await until("their connections have ended", () => proxy.open === 1);
  });

  await t.test("a client at rest keeps no program alive", async () => {
    const source = `
      import { connectKubernetes } from ${JSON.stringify(new URL("client.ts", import.meta.url).href)};
      const client = await connectKubernetes({ kubeconfig: ${JSON.stringify(plane.kubeconfig)} });
      await client.request("GET", "/version");`;
    const program = startProgram(process.execPath, ["--import", "tsx", "--input-type=module", "-e", source]);
    assert.equal(await program.ended, 0, program.stderr());
  });
});

/** Two users with certificates, of which one is in the files of the kubeconfig. */
async function makeUsers(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), "users-"));
  t.after(() => rm(directory, { recursive: true }));
  const [first, second] = ["first", "second"].map((name) => makeCertificate(directory, name));
  const file = (name: string) => join(directory, name);
  const certificates = [first!, second!].map(({ certificate }) => readFile(certificate, "utf8"));
  await writeFile(file("authorities.pem"), (await Promise.all(certificates)).join(""));
  const files = { certificate: file("now.pem"), key: file("now.key") };
  return {
    ...files,
    authorities: file("authorities.pem"),
    async become(name: "first" | "second"): Promise<void> {
      const { certificate, key } = name === "first" ? first! : second!;
      await cp(certificate, files.certificate);
      await cp(key, files.key);
    },
  };
}
