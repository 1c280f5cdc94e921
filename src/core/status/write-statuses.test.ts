import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { type Kubernetes, runKubernetes } from "../../../test/peers/kubernetes.ts";
import {
  applyObjects,
  coreKubeconfig,
  installCrds,
  systemNamespace as namespace,
  wasmPlugin,
} from "../../../test/peers/kubernetes-core.ts";
import { until } from "../../../test/peers/until.ts";
import { connectKubernetes, type KubernetesClient } from "../../kubernetes/client.ts";
import { silentLog } from "../../log.ts";
import { refKey } from "../../resource/types.ts";
import type { Condition } from "./conditions.ts";
import type { PluginStatuses, StatusOfPlugin } from "./plugin-statuses.ts";
import type { StatusBody } from "./status-body.ts";
import { createStatusWriter } from "./write-statuses.ts";

const api = `/apis/extensions.higress.io/v1alpha1/namespaces/${namespace}/wasmplugins`;

interface Stored {
  readonly metadata: { readonly uid: string; readonly generation: number };
  readonly status?: StatusBody;
}

async function start(t: TestContext, plane: Kubernetes) {
  const admin = await connectKubernetes({ kubeconfig: plane.kubeconfig });
  const own = await connectKubernetes({ kubeconfig: await coreKubeconfig(plane) });
  const requests: string[] = [];
  const client: KubernetesClient = {
    ...own,
    request(method, path, options) {
      requests.push(`${method} ${path.split("/").slice(-2).join("/")}`);
      return own.request(method, path, options);
    },
  };
  const end = new AbortController();
  t.after(() => end.abort());
  const open = (system = namespace) =>
    createStatusWriter({
      ...{ client, namespaces: [undefined], systemNamespace: system, instance: "test" },
      ...{ log: silentLog, signal: end.signal },
    });
  const stored = async (name: string) => (await admin.request("GET", `${api}/${name}`)) as Stored;
  return { open, requests, stored };
}

async function makePlugin(plane: Kubernetes, name: string): Promise<void> {
  await applyObjects(plane, wasmPlugin(name, { url: "oci://a/b" }));
}

function statusOf(
  name: string,
  { metadata: { uid, generation } }: Stored,
  message: string,
  more: Partial<Condition> & { readonly isPending?: boolean } = {},
): PluginStatuses {
  const { isPending = false, ...rest } = more;
  const ref = { kind: "WasmPlugin", namespace, name };
  const status: StatusOfPlugin = {
    ...{ ref, isPending, digest: `sha256:${"a".repeat(64)}`, gateways: { total: 1, programmed: 1 } },
    server: { uid, generation, creationTimestamp: "" },
    conditions: [{ type: "Programmed", status: "True", reason: "Programmed", message, ...rest }],
  };
  return new Map([[refKey(ref), status]]);
}

const messageOf = ({ status }: Stored) => status?.conditions[0]?.message;
const patches = (requests: readonly string[]) => requests.filter((request) => request.startsWith("PATCH"));

test("statuses are written once, and not more often than they change", async (t) => {
  const plane = await runKubernetes(t);
  await installCrds(plane);
  const { open, requests, stored } = await start(t, plane);
  await makePlugin(plane, "p");
  const p = await stored("p");
  const writer = await open();

  await t.test("what is new is written, what is the same is not", async () => {
    writer.write(statusOf("p", p, "one"));
    await until("it is written", async () => messageOf(await stored("p")) === "one");
    const { status } = await stored("p");
    assert.deepEqual(status, {
      conditions: [
        {
          ...{ type: "Programmed", status: "True", reason: "Programmed", message: "one" },
          ...{ observedGeneration: 1, lastTransitionTime: status!.conditions[0]!.lastTransitionTime },
        },
      ],
      gateways: { total: 1, programmed: 1 },
      module: { digest: `sha256:${"a".repeat(64)}` },
    });
    await makePlugin(plane, "other");
    const other = await stored("other");
    const before = requests.length;
    // The second write to the other object is due after any to the first.
    for (const message of ["first", "second"]) {
      writer.write(new Map([...statusOf("p", p, "one"), ...statusOf("other", other, message)]));
      await until("the other is written", async () => messageOf(await stored("other")) === message);
    }
    assert.deepEqual(patches(requests.slice(before)), ["PATCH other/status", "PATCH other/status"]);
  });

  await t.test("of many changes that come together the last is written, in few requests", async () => {
    const before = patches(requests).length;
    for (let index = 0; index < 50; index++) writer.write(statusOf("p", p, `change ${index}`));
    await until("the last is written", async () => messageOf(await stored("p")) === "change 49");
    assert.ok(patches(requests).length <= before + 2);
  });

  await t.test("what is about to be overtaken is not written", async () => {
    const before = patches(requests).length;
    writer.write(statusOf("p", p, "on its way", { status: "False", reason: "Pending", isPending: true }));
    writer.write(statusOf("p", p, "there"));
    await until("it is written", async () => messageOf(await stored("p")) === "there");
    assert.equal(patches(requests).length, before + 1);
    writer.write(statusOf("p", p, "stuck", { status: "False", reason: "Pending", isPending: true }));
    await until("what stays so is written", async () => messageOf(await stored("p")) === "stuck");
  });

  await t.test("the time of the last transition is that of the status", async () => {
    const timeOf = async () => (await stored("p")).status!.conditions[0]!.lastTransitionTime;
    const before = await timeOf();
    writer.write(statusOf("p", p, "still", { status: "False", reason: "Other" }));
    await until("it is written", async () => messageOf(await stored("p")) === "still");
    assert.equal(await timeOf(), before);
    writer.write(statusOf("p", p, "True again"));
    await until("it is written", async () => messageOf(await stored("p")) === "True again");
    assert.notEqual(await timeOf(), before);
  });

  await t.test(
    "an installation of another namespace leaves what is said alone, and need not ask",
    async () => {
      const before = requests.length;
      const other = await open("elsewhere");
      await makePlugin(plane, "nobodys");
      const free = await stored("nobodys");
      const notMine = statusOf("p", p, "not mine", { status: "False" });
      other.write(new Map([...notMine, ...statusOf("nobodys", free, "not mine")]));
      await until(
        "where nobody says anything, it does",
        async () => messageOf(await stored("nobodys")) === "not mine",
      );
      assert.deepEqual(patches(requests.slice(before)), ["PATCH nobodys/status"]);
      assert.equal(messageOf(await stored("p")), "True again");
    },
  );

  await t.test("what somebody else has said meanwhile is tried once", async () => {
    await makePlugin(plane, "taken");
    const other = await open("elsewhere");
    const taken = await stored("taken");
    writer.write(new Map([...statusOf("p", p, "True again"), ...statusOf("taken", taken, "mine")]));
    await until("it is written", async () => messageOf(await stored("taken")) === "mine");
    const before = requests.length;
    const tried = () => requests.slice(before).filter((request) => request === "PATCH taken/status").length;
    other.write(statusOf("taken", taken, "not mine"));
    await until("it was tried", () => tried() > 0);
    await makePlugin(plane, "free");
    const free = await stored("free");
    for (const message of ["still", "again"]) {
      other.write(new Map([...statusOf("taken", taken, message), ...statusOf("free", free, message)]));
      await until("the free one is written", async () => messageOf(await stored("free")) === message);
    }
    assert.equal(messageOf(await stored("taken")), "mine");
    assert.equal(tried(), 1);
  });

  await t.test("who takes over reads, and has nothing to write", async () => {
    const before = requests.length;
    const next = await open();
    next.write(statusOf("p", p, "True again"));
    next.write(statusOf("p", p, "and then"));
    await until("the next is written", async () => messageOf(await stored("p")) === "and then");
    const [list, ...rest] = requests.slice(before);
    assert.deepEqual([list, ...patches(rest)], ["GET v1alpha1/wasmplugins", "PATCH p/status"]);
  });

  await t.test(
    "an object that is gone has no status, and another of its name has one of its own",
    async () => {
      await makePlugin(plane, "q");
      const q = await stored("q");
      writer.write(new Map([...statusOf("p", p, "p"), ...statusOf("q", q, "q")]));
      await until("q is written", async () => messageOf(await stored("q")) === "q");
      await plane.kubectl(["delete", "wasmplugin", "q", "-n", namespace]);
      writer.write(new Map([...statusOf("p", p, "p2"), ...statusOf("q", q, "gone")]));
      await until("p is written", async () => messageOf(await stored("p")) === "p2");
      await makePlugin(plane, "q");
      writer.write(new Map([...statusOf("p", p, "p2"), ...statusOf("q", await stored("q"), "q")]));
      await until("the new one is written", async () => messageOf(await stored("q")) === "q");
    },
  );

  await t.test("events tell of changes, and not of words", async () => {
    const text = await plane.kubectl([
      ...["get", "events.events.k8s.io", "-n", namespace, "--sort-by=.metadata.creationTimestamp"],
      "-o=jsonpath={range .items[?(@.regarding.name=='p')]}{.type} {.reason} {.reportingController}\n{end}",
    ]);
    assert.deepEqual(text.trim().split("\n").sort(), [
      "Normal Pending wasmline.io/core",
      "Normal Programmed wasmline.io/core",
      "Normal Programmed wasmline.io/core",
      "Warning Other wasmline.io/core",
    ]);
  });

  await t.test(
    "a right that is missing is said once, tried a few times, and all is written when it is there",
    async () => {
      const bind = (verb: string, resource: string) =>
        plane
          .kubectl(["create", "clusterrole", `${verb}er`, `--verb=${verb}`, `--resource=${resource}`])
          .then(() =>
            plane.kubectl([
              ...["create", "clusterrolebinding", `${verb}er`, `--clusterrole=${verb}er`],
              `--serviceaccount=${namespace}:nobody`,
            ]),
          );
      const kubeconfig = await plane.kubeconfigOf(await plane.token(namespace, "nobody"));
      await bind("list", "wasmplugins.extensions.higress.io");
      const many = Array.from({ length: 12 }, (_, index) => `many-${index}`);
      await applyObjects(plane, ...many.map((name) => wasmPlugin(name, { url: "oci://a/b" })));
      const own = await connectKubernetes({ kubeconfig });
      let tries = 0;
      const lines: string[] = [];
      const end = new AbortController();
      t.after(() => end.abort());
      const unable = await createStatusWriter({
        client: {
          ...own,
          request(method, path, options) {
            if (method === "PATCH") tries++;
            return own.request(method, path, options);
          },
        },
        ...{ namespaces: [namespace], systemNamespace: namespace, instance: "test", signal: end.signal },
        log: {
          ...silentLog,
          info: (_fields, message) => void lines.push(message),
          warn: (_fields, message) => void (message.includes("event") || lines.push(message)),
        },
      });
      const objects = await Promise.all(many.map(stored));
      unable.write(new Map(objects.flatMap((object, index) => [...statusOf(many[index]!, object, "late")])));
      await until("it is said", () => lines.length === 1);
      await bind("patch", "wasmplugins.extensions.higress.io/status");
      assert.ok(tries <= 8, `${tries} tries`);
      const written = async () =>
        (await Promise.all(many.map(stored))).every((each) => messageOf(each) === "late");
      await until("all are written", written);
      assert.deepEqual(lines, [
        "cannot write statuses; they are written when that is mended",
        "statuses are written again",
      ]);
    },
  );

  await t.test("what could not be written is written when the API server is back", async () => {
    await plane.stopApiServer();
    writer.write(statusOf("p", p, "while it was away"));
    await until("it was tried", () => requests.at(-1) === "PATCH p/status");
    await plane.startApiServer();
    await until("it is written", async () => messageOf(await stored("p")) === "while it was away");
  });
});

test("that the CRD has no status is said, and it is written when there is one", async (t) => {
  const plane = await runKubernetes(t);
  await installCrds(plane);
  const crd = ["crd", "wasmplugins.extensions.higress.io"];
  const patch = (op: object) => plane.kubectl(["patch", ...crd, "--type=json", "-p", JSON.stringify([op])]);
  const path = "/spec/versions/0/subresources";
  await patch({ op: "remove", path });
  await makePlugin(plane, "p");
  const end = new AbortController();
  t.after(() => end.abort());
  const lines: string[] = [];
  const warn = (fields: object) => void lines.push(JSON.stringify(fields));
  const client = await connectKubernetes({ kubeconfig: plane.kubeconfig });
  const writer = await createStatusWriter({
    ...{ client, namespaces: [namespace], systemNamespace: namespace, instance: "test" },
    ...{ log: { ...silentLog, warn }, signal: end.signal },
  });
  const stored = async () => (await client.request("GET", `${api}/p`)) as Stored;
  writer.write(statusOf("p", await stored(), "late"));
  await until("it is said", () => lines.length === 1);
  assert.match(lines[0]!, /has no status: kubectl apply .*api\/crds/);
  await patch({ op: "add", path, value: { status: {} } });
  await until("it is written", async () => messageOf(await stored()) === "late");
});
