import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { kubeconfigThrough } from "../../test/peers/kubeconfig.ts";
import { type Kubernetes, runKubernetes } from "../../test/peers/kubernetes.ts";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { connectKubernetes, type KubernetesClient } from "./client.ts";
import type { Collection, CollectionOptions } from "./collection.ts";
import { followCollection } from "./list-watch.ts";
import type { KubernetesObject } from "./objects.ts";

const path = "/api/v1/namespaces/default/configmaps";

interface ConfigMap {
  readonly name: string;
  readonly value: string;
}

function keep({ metadata, data }: KubernetesObject): ConfigMap {
  return { name: metadata.name, value: (data as { value?: string } | undefined)?.value ?? "" };
}

const body = (name: string, value: string) => ({
  ...{ apiVersion: "v1", kind: "ConfigMap", metadata: { name, labels: { value } } },
  data: { value },
});

async function apply(client: KubernetesClient, name: string, value: string): Promise<void> {
  const query = { fieldManager: "test", force: "true" };
  const contentType = "application/apply-patch+yaml";
  await client.request("PATCH", `${path}/${name}`, { body: body(name, value), query, contentType });
}

function follow(t: TestContext, options: Partial<CollectionOptions<ConfigMap>>): Collection<ConfigMap> {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const fields = { path, fieldSelector: "metadata.name!=kube-root-ca.crt", keep, onChange: () => {} };
  return followCollection({ ...fields, signal: ending.signal, ...options } as CollectionOptions<ConfigMap>);
}

const textOf = (collection: Collection<ConfigMap>) =>
  collection
    .values()
    .map(({ name, value }) => `${name}=${value}`)
    .sort()
    .join(" ");

const becomes = (collection: Collection<ConfigMap>, text: string) =>
  until(`the collection is ${text}`, () => textOf(collection) === text).catch((error) => {
    assert.equal(textOf(collection), text, JSON.stringify(collection.state));
    throw error;
  });

/** A client whose connections go through a proxy of the test. */
async function connectThrough(plane: Kubernetes, port: number, pingMs?: number): Promise<KubernetesClient> {
  return connectKubernetes({ kubeconfig: await kubeconfigThrough(plane, port), pingMs });
}

test("a collection follows a real API server", async (t) => {
  const plane = await runKubernetes(t);
  const client = await connectKubernetes({ kubeconfig: plane.kubeconfig, perSecond: 1000, burst: 1000 });
  const reset = () =>
    client.request("DELETE", path, { query: { fieldSelector: "metadata.name!=kube-root-ca.crt" } });

  await t.test("what is there, what is added, changed and removed", async (t) => {
    await apply(client, "a", "1");
    const collection = follow(t, { client });
    await becomes(collection, "a=1");
    await apply(client, "b", "1");
    await apply(client, "a", "2");
    await becomes(collection, "a=2 b=1");
    await client.request("DELETE", `${path}/a`);
    await becomes(collection, "b=1");
    assert.deepEqual([collection.state.lists, collection.state.failures], [1, 0]);
    await reset();
  });

  await t.test("a large list appears at once", async (t) => {
    await Promise.all(Array.from({ length: 600 }, (_, index) => apply(client, `n-${index}`, "1")));
    const sizes = new Set<number>();
    const collection = follow(t, { client, onChange: () => sizes.add(collection.size) });
    await until("the list is there", () => collection.state.synced);
    assert.deepEqual([...sizes], [600]);
    await reset();
    await becomes(collection, "");
  });

  await t.test("selectors choose", async (t) => {
    await Promise.all([apply(client, "a", "1"), apply(client, "b", "2")]);
    const byLabel = follow(t, { client, labelSelector: "value=2" });
    const byName = follow(t, { client, fieldSelector: "metadata.name=c" });
    await becomes(byLabel, "b=2");
    await until("the missing one was looked for", () => byName.state.synced);
    await apply(client, "a", "2");
    await apply(client, "c", "1");
    await becomes(byLabel, "a=2 b=2");
    await becomes(byName, "c=1");
    await reset();
  });

  await t.test("a watch that ends is asked for again where it was", async (t) => {
    await apply(client, "a", "1");
    const collection = follow(t, { client, patience: { watchMs: 1000 } });
    await until("the watch began anew", () => collection.state.watchRestarts >= 2);
    const [kept] = collection.values();
    await apply(client, "b", "1");
    await becomes(collection, "a=1 b=1");
    assert.equal(collection.values()[0], kept);
    assert.deepEqual([collection.state.lists, collection.state.failures], [1, 0]);
    await reset();
  });

  await t.test(
    "what was read stays while the server is away, and what was missed is there afterwards",
    async (t) => {
      await apply(client, "a", "1");
      await apply(client, "b", "1");
      const collection = follow(t, { client });
      await becomes(collection, "a=1 b=1");
      const kept = collection.values().find(({ name }) => name === "b");
      await plane.stopApiServer();
      await until("the failure is known", () => collection.state.failure !== undefined);
      assert.match(collection.state.failure ?? "", /ECONNREFUSED|ECONNRESET|socket hang up|aborted/);
      assert.equal(textOf(collection), "a=1 b=1");
      assert.deepEqual([collection.state.synced, collection.state.watching], [true, false]);
      await plane.startApiServer();
      await apply(client, "a", "2");
      await client.request("DELETE", `${path}/b`);
      await apply(client, "b", "1");
      await apply(client, "c", "1");
      await becomes(collection, "a=2 b=1 c=1");
      await until("the watch stands", () => collection.state.watching);
      assert.equal(collection.state.failure, undefined);
      // Another object of the same name and content is another object.
      assert.notEqual(
        collection.values().find(({ name }) => name === "b"),
        kept,
      );
      await reset();
    },
  );

  await t.test(
    "history that the server has forgotten is a new list, in which nothing is made anew",
    async (t) => {
      // More than a page.
      const names = Array.from({ length: 600 }, (_, index) => `n-${index}`);
      await Promise.all([...names, "gone"].map((name) => apply(client, name, "1")));
      const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
      const through = await connectThrough(plane, proxy.port);
      const sizes = new Set<number>();
      const collection = follow(t, {
        client: through,
        patience: { watchMs: 1000, overdueMs: 500 },
        onChange: () => sizes.add(collection.size),
      });
      await until("the list is there", () => collection.size === 601);
      const kept = new Map(collection.values().map((value) => [value.name, value]));
      // Unseen by the watch, which stalls, and forgotten by the server that comes next.
      proxy.stall();
      await apply(client, "n-1", "2");
      await client.request("DELETE", `${path}/gone`);
      await apply(client, "new", "1");
      await plane.compact();
      await plane.stopApiServer();
      await plane.startApiServer();
      await until("what was missed is there", () => collection.values().some(({ name }) => name === "new"));
      assert.ok(collection.state.relists >= 1, JSON.stringify(collection.state));
      assert.deepEqual([...sizes], [601]);
      const changed = collection.values().filter((value) => kept.get(value.name) !== value);
      assert.deepEqual(changed, [
        { name: "n-1", value: "2" },
        { name: "new", value: "1" },
      ]);
      await reset();
    },
  );

  await t.test("a watch that stalls without an end is left, and nothing is lost", async (t) => {
    const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
    const through = await connectThrough(plane, proxy.port);
    // One that is asked for seldom hears of the stall from one that is asked for often.
    const patient = follow(t, { client: through });
    const collection = follow(t, {
      client: through,
      onStall: () => patient.resume(),
      patience: { watchMs: 1000, overdueMs: 500 },
    });
    await until("the watches stand", () => collection.state.watching && patient.state.watching);
    const stalls = collection.state.stalls;
    proxy.stall();
    await apply(client, "a", "1");
    await becomes(collection, "a=1");
    assert.ok(collection.state.stalls > stalls);
    await becomes(patient, "a=1");
    assert.deepEqual([patient.state.lists, patient.state.stalls, patient.state.failures], [1, 0, 0]);
    assert.deepEqual([collection.state.lists, collection.state.failures], [1, 0]);
    await reset();
  });

  await t.test(
    "a connection that dies is noticed long before a watch should end, by all of them",
    async (t) => {
      const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
      const through = await connectThrough(plane, proxy.port, 500);
      const collections: Collection<ConfigMap>[] = [];
      const onStall = () => {
        for (const collection of collections) collection.resume();
      };
      for (let count = 0; count < 5; count++) collections.push(follow(t, { client: through, onStall }));
      await until("the watches stand", () => collections.every(({ state }) => state.watching));
      proxy.stall();
      await apply(client, "a", "1");
      for (const collection of collections) await becomes(collection, "a=1");
      // Each watch was asked for once more, though each stall was told to all.
      for (const { state } of collections)
        assert.deepEqual([state.lists, state.stalls, state.watchRestarts, state.failures], [1, 1, 1, 0]);
      await reset();
    },
  );

  await t.test("a resource that the server does not know is waited for", async (t) => {
    const absent = "/apis/example.com/v1/things";
    const collection = follow(t, { client, path: absent, fieldSelector: "" });
    await until("it is known to be absent", () => collection.state.absent);
    assert.deepEqual([collection.state.synced, collection.size], [true, 0]);
    await plane.kubectl(["apply", "-f", "-"], JSON.stringify(thingDefinition));
    await until("it is there", () => !collection.state.absent && collection.state.watching);
    const thing = {
      apiVersion: "example.com/v1",
      kind: "Thing",
      metadata: { name: "a", namespace: "default" },
    };
    await plane.kubectl(["apply", "-f", "-"], JSON.stringify(thing));
    await becomes(collection, "a=");
    await plane.kubectl(["delete", "crd", "things.example.com"]);
    await until("it is gone", () => collection.state.absent && collection.size === 0);
  });

  await t.test("without the right to list it says so and goes on asking", async (t) => {
    const kubeconfig = await plane.kubeconfigOf(await plane.token("apps", "reader"));
    const collection = follow(t, { client: await connectKubernetes({ kubeconfig }) });
    await until("the failure is known", () => collection.state.failure !== undefined);
    assert.match(collection.state.failure ?? "", /missing: a Role in namespace default .*verbs: \["list"\]/);
    assert.equal(collection.state.synced, false);
    await plane.kubectl([
      "create",
      "role",
      "reader",
      "-n",
      "default",
      "--verb=list,watch",
      "--resource=configmaps",
    ]);
    await plane.kubectl([
      "create",
      "rolebinding",
      "reader",
      "-n",
      "default",
      "--role=reader",
      "--serviceaccount=apps:reader",
    ]);
    await until("it is read", () => collection.state.synced && collection.state.failure === undefined);
  });
});

const thingDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "things.example.com" },
  spec: {
    group: "example.com",
    scope: "Namespaced",
    names: { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" },
    versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema: { type: "object" } } }],
  },
};
