import assert from "node:assert/strict";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runKubernetes } from "../../test/peers/kubernetes.ts";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { SystemError } from "../system-error.ts";
import { connectKubernetes, KubernetesError } from "./client.ts";

const path = "/api/v1/namespaces/default/configmaps";
const configMap = (name: string, value: string) => ({
  ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name } },
  data: { value },
});

interface Event {
  readonly type: string;
  readonly object: { readonly data: { readonly value: string } };
}

test("requests, watches and failures of a real API server", async (t) => {
  const plane = await runKubernetes(t);
  const client = await connectKubernetes({ kubeconfig: plane.kubeconfig });

  await t.test("writes and reads", async () => {
    await client.request("POST", path, { body: configMap("a", "1") });
    const applied = await client.request("PATCH", `${path}/a`, {
      ...{ body: configMap("a", "2"), contentType: "application/apply-patch+yaml" },
      query: { fieldManager: "test", force: "true" },
    });
    assert.equal((applied as Event["object"]).data.value, "2");
    await client.request("DELETE", `${path}/a`);
  });

  await t.test("an answer that is no success says what was asked for and why not", async () => {
    await assert.rejects(client.request("GET", `${path}/none`), (error: KubernetesError) => {
      assert.ok(error instanceof KubernetesError);
      assert.deepEqual([error.status, error.reason], [404, "NotFound"]);
      assert.equal(error.message, `cannot get ${path}/none: configmaps "none" not found`);
      return true;
    });
    const invalid = client.request("POST", path, { body: configMap("A_B", "1") });
    await assert.rejects(invalid, (error: KubernetesError) => error.causes[0]?.field === "metadata.name");
  });

  await t.test("a request without the right says which rule is missing", async () => {
    const kubeconfig = await plane.kubeconfigOf(await plane.token("apps", "nobody"));
    const nobody = await connectKubernetes({ kubeconfig });
    await assert.rejects(nobody.request("GET", "/api/v1/namespaces/apps/secrets"), {
      status: 403,
      message:
        /^cannot list .*system:serviceaccount:apps:nobody.* \(missing: a Role in namespace apps or a ClusterRole with the rule \{apiGroups: \[""\], resources: \["secrets"\], verbs: \["list"\]\}\)$/,
    });
    const plugins = nobody.watch("/apis/apps/v1/deployments", {}, { signal: t.signal, idleMs: 5000 });
    await assert.rejects(plugins[Symbol.asyncIterator]().next(), {
      message:
        /a ClusterRole with the rule \{apiGroups: \["apps"\], resources: \["deployments"\], verbs: \["watch"\]/,
    });
  });

  await t.test("a watch gives its events as they come, and ends with the signal", async () => {
    const ending = new AbortController();
    const types: string[] = [];
    const watch = client.watch(path, {}, { signal: ending.signal, idleMs: 20_000 });
    await client.request("POST", path, { body: configMap("b", "1") });
    for await (const event of watch as AsyncIterable<Event>) {
      types.push(event.type);
      if (event.object.data.value === "1")
        await client.request("PUT", `${path}/b`, { body: configMap("b", "2") });
      if (event.object.data.value === "2") ending.abort();
    }
    assert.deepEqual(types.slice(-2), ["ADDED", "MODIFIED"]);
  });

  await t.test("one connection is enough for many requests", async (t) => {
    const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
    const kubeconfig = join(plane.directory, "through-proxy.kubeconfig");
    const text = await readFile(plane.kubeconfig, "utf8");
    await writeFile(kubeconfig, text.replace(plane.url, `https://127.0.0.1:${proxy.port}`));
    const through = await connectKubernetes({ kubeconfig });
    for (let request = 0; request < 5; request++) await through.request("GET", path);
    assert.equal(proxy.accepted, 1);
  });

  await t.test("requests after the API server was away go through", async () => {
    await plane.stopApiServer();
    await assert.rejects(client.request("GET", path), { name: "SystemError", code: "network" });
    await plane.startApiServer();
    await client.request("GET", path);
  });
});

test("a server that says nothing is a timeout, and a plain address needs no TLS", async (t) => {
  const server = createServer((request, response) => {
    if (request.url?.includes("watch=true")) response.write("{}\n");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  const directory = await mkdtemp(join(tmpdir(), "kubeconfig-"));
  t.after(() => rm(directory, { recursive: true }));
  const kubeconfig = join(directory, "config");
  await writeFile(
    kubeconfig,
    JSON.stringify({
      clusters: [{ name: "a", cluster: { server: `http://127.0.0.1:${port}` } }],
      users: [{ name: "a", user: { token: "secret-token" } }],
      contexts: [{ name: "a", context: { cluster: "a", user: "a", namespace: "apps" } }],
      "current-context": "a",
    }),
  );
  const client = await connectKubernetes({ kubeconfig });
  assert.equal(client.namespace, "apps");
  const isTimeout = (error: SystemError) =>
    error instanceof SystemError && error.code === "timeout" && !error.message.includes("secret-token");
  await assert.rejects(client.request("GET", path, { timeoutMs: 50 }), isTimeout);
  const events = client.watch(path, {}, { signal: t.signal, idleMs: 50 })[Symbol.asyncIterator]();
  assert.deepEqual((await events.next()).value, {});
  await assert.rejects(events.next(), isTimeout);
  const { KUBECONFIG, HOME } = process.env;
  t.after(() => {
    for (const [name, value] of Object.entries({ KUBECONFIG, HOME }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  Object.assign(process.env, { KUBECONFIG: kubeconfig });
  assert.equal((await connectKubernetes()).namespace, "apps");
  Object.assign(process.env, { KUBECONFIG: "", HOME: directory });
  await assert.rejects(connectKubernetes(), { code: "not-found", message: /there is no kubeconfig/ });
  await assert.rejects(connectKubernetes({ kubeconfig, context: "b" }), {
    message: 'the kubeconfig has no context "b" with a cluster; its contexts: a',
  });
});
