// The chart and a real API server: it takes every manifest, admits every Pod, and gives each role what it needs and no more.
import assert from "node:assert/strict";
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, suite, test } from "node:test";
import { connectKubernetes, type KubernetesClient, KubernetesError } from "../../src/kubernetes/client.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { freePortOffset } from "../peers/ports.ts";
import { startWasmline } from "../peers/program.ts";
import { chart, type Manifest, readManifests, readValueSets, renderChart, runHelm } from "./charts.ts";
import { lease, plugin, type Request, rights, system } from "./rights.ts";

const labels = { "pod-security.kubernetes.io/enforce": "restricted" };

/** What cert-manager and the Prometheus operator would have brought; their objects are kept as they come. */
const foreign: readonly [kind: string, group: string, version: string][] = [
  ["Certificate", "cert-manager.io", "v1"],
  ["Issuer", "cert-manager.io", "v1"],
  ["PodMonitor", "monitoring.coreos.com", "v1"],
];

let plane: Kubernetes;
let end: () => Promise<void>;

suite("the chart in a cluster", () => {
  before(async () => {
    ({ plane, end } = await startKubernetes());
    const namespaces = [system, "shop", "elsewhere"].map((name) => ({
      ...{ apiVersion: "v1", kind: "Namespace" },
      metadata: { name, labels },
    }));
    await apply([...namespaces, ...foreign.map(permissiveCrd)]);
    await plane.kubectl(["apply", "--server-side", "-f", `${chart}/crds`]);
    await plane.kubectl(["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
  });
  after(() => end());

  for (const { name, values } of readValueSets()) {
    test(`${name}: the API server takes every manifest, and knows every field of it`, async () => {
      const text = await renderChart(values);
      const taken = await plane.kubectl(["apply", "--dry-run=server", "--validate=strict", "-f", "-"], text);
      assert.equal(taken.trim().split("\n").length, readManifests(text).length);
    });
  }

  const restricted = [
    {},
    { gateway: { kind: "envoy" } },
    { gateway: { workload: "DaemonSet" } },
    { ports: { http: 80 } },
  ];
  for (const values of restricted)
    test(`Pods are admitted where Pod Security is "restricted": ${JSON.stringify(values)}`, async () => {
      const manifests = readManifests(await renderChart(values));
      await apply(manifests.filter(({ kind }) => kind === "ServiceAccount"));
      for (const { metadata, spec } of manifests) {
        if (!spec?.template) continue;
        const pod = { apiVersion: "v1", kind: "Pod", ...spec.template };
        Object.assign(pod.metadata, { name: metadata.name, namespace: system });
        await plane.kubectl(["apply", "--dry-run=server", "-f", "-"], JSON.stringify(pod));
      }
    });

  test("core runs with the rights, flags and certificates that it is given", async (t) => {
    const manifests = readManifests(await renderChart({}));
    await apply(manifests.filter(({ kind }) => kind === "ServiceAccount" || /Role/.test(kind)));
    await apply([plugin(system, "watched")]);
    const directory = await mkdtemp(join(tmpdir(), "chart-core-"));
    t.after(() => rm(directory, { recursive: true, force: true }));
    const secrets = { mcp: "edge-wasmline-core-tls", webhook: "edge-wasmline-webhook-tls" };
    for (const [mount, name] of Object.entries(secrets)) {
      await mkdir(join(directory, mount));
      const { data } = manifests.find(({ kind, metadata }) => kind === "Secret" && metadata.name === name)!;
      for (const [file, text] of Object.entries(data as Record<string, string>))
        await writeFile(join(directory, mount, file), Buffer.from(text, "base64"));
    }
    const { args } = manifests.find(
      ({ kind, metadata }) => kind === "Deployment" && /-core$/.test(metadata.name),
    )!.spec!.template!.spec.containers[0]!;
    const token = await plane.kubectl(["create", "token", "edge-wasmline-core", "-n", system]);
    const core = startWasmline(
      [
        ...args
          .filter((arg) => !/^--(bind|discovery-status)=/.test(arg))
          .map((arg) => arg.replace("/etc/wasmline", directory)),
        `--port-offset=${await freePortOffset()}`,
      ],
      { KUBECONFIG: await plane.kubeconfigOf(token.trim()) },
    );
    t.after(() => core.stop());
    await plane.kubectl([
      "wait",
      "--for=condition=Accepted",
      "--timeout=30s",
      "wasmplugin/watched",
      "-n",
      system,
    ]);
    const holder = [
      "get",
      "lease",
      "edge-wasmline-core",
      "-n",
      system,
      "-o",
      "jsonpath={.spec.holderIdentity}",
    ];
    assert.notEqual(await plane.kubectl(holder), "");
    assert.doesNotMatch(core.stderr(), /\b403\b|forbidden/i);
  });

  test("a second core of a namespace is refused, unless it writes no status", async () => {
    const core = readManifests(await renderChart({})).filter(
      ({ kind, metadata }) => kind === "Deployment" && /-core$/.test(metadata.name),
    );
    await apply(core);
    const install = (values: object) => {
      const where = [`--namespace=${system}`, `--kubeconfig=${plane.kubeconfig}`, "--dry-run=server"];
      return runHelm(["install", "second", chart, ...where], values);
    };
    const { status, stderr } = await install({});
    assert.equal(status, 1);
    assert.match(stderr, /the release edge has a core in the namespace .* already.*core\.enabled=false/);
    const silent = await install({ core: { extraArgs: ["--no-write-status"] } });
    assert.equal(silent.status, 0, silent.stderr);
    await plane.kubectl(["delete", "deployment", core[0]!.metadata.name, "-n", system]);
  });

  test("helm's certificates are for the Services that have them, and one authority vouches for all", async () => {
    const secrets = readManifests(await renderChart({})).filter(({ kind }) => kind === "Secret");
    assert.equal(secrets.length, 3);
    const authorities = new Set(secrets.map(({ data }) => (data as Record<string, string>)["ca.crt"]));
    assert.equal(authorities.size, 1);
    for (const { metadata, data } of secrets) {
      const read = (file: string) => Buffer.from((data as Record<string, string>)[file]!, "base64");
      const certificate = new X509Certificate(read("tls.crt"));
      const service = metadata.name.includes("discovery") ? "discovery" : "core";
      assert.ok(certificate.checkHost(`edge-wasmline-${service}.${system}.svc`), metadata.name);
      assert.ok(certificate.verify(new X509Certificate(read("ca.crt")).publicKey));
      assert.ok(certificate.checkPrivateKey(createPrivateKey(read("tls.key"))));
    }
  });

  test("an upgrade that has autoscalers set replicas keeps the Pods that run", async () => {
    const upgrade = async (hpa: boolean) => {
      const role = { replicas: 3, hpa: { enabled: hpa } };
      const values = { core: { enabled: false }, discovery: { core: "core:15051", ...role }, gateway: role };
      const where = ["--namespace=elsewhere", `--kubeconfig=${plane.kubeconfig}`];
      const { status, stderr } = await runHelm(["upgrade", "--install", "busy", chart, ...where], values);
      assert.equal(status, 0, stderr);
    };
    const replicas = () =>
      plane.kubectl(["get", "deployments", "-n", "elsewhere", "-o", "jsonpath={.items[*].spec.replicas}"]);
    await upgrade(false);
    assert.equal(await replicas(), "3 3");
    await upgrade(true);
    assert.equal(await replicas(), "3 3");
    await plane.kubectl(["scale", "deployment", "--all", "--replicas=7", "-n", "elsewhere"]);
    await upgrade(true);
    assert.equal(await replicas(), "7 7");
  });

  suite("rights", () => {
    before(async () => {
      const manifests = readManifests(await renderChart({ core: { secretNamespaces: ["shop"] } }));
      const kinds = ["ServiceAccount", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"];
      await apply(manifests.filter(({ kind }) => kinds.includes(kind)));
      await apply([plugin(system), plugin("shop"), lease("somebody-else")]);
    });

    for (const [role, { may, mayNot }] of Object.entries(rights))
      test(role, async (t) => {
        const client = await clientOf(role);
        for (const request of may)
          await t.test(`may ${request[0]} ${request[1]}`, async () =>
            // 422: allowed, and then found to lack a resourceVersion.
            assert.match(`${await statusOf(client, request)}`, request[0] === "PUT" ? /^422$/ : /^200$/),
          );
        for (const request of mayNot)
          await t.test(`may not ${request[0]} ${request[1]}`, async () =>
            assert.equal(await statusOf(client, request), 403),
          );
      });
  });
});

/** Who a role is at the API server: a token of its ServiceAccount, as its Pods have one. */
async function clientOf(role: string): Promise<KubernetesClient> {
  const token = await plane.kubectl(["create", "token", `edge-wasmline-${role}`, "-n", system]);
  return connectKubernetes({ kubeconfig: await plane.kubeconfigOf(token.trim()) });
}

/** The status of the answer; nothing is written. */
async function statusOf(client: KubernetesClient, [method, target, body]: Request): Promise<number> {
  const [path = "", selectors] = target.split("?");
  const query = {
    ...Object.fromEntries(new URLSearchParams(selectors)),
    ...(method !== "GET" && { dryRun: "All" }),
    ...(method === "PATCH" && patching),
  };
  const contentType = method === "PATCH" ? "application/apply-patch+yaml" : undefined;
  try {
    await client.request(method, path, { body, query, contentType });
    return 200;
  } catch (error) {
    if (error instanceof KubernetesError) return error.status;
    throw error;
  }
}

const patching = { fieldManager: "wasmline-core", force: "true" };

async function apply(manifests: readonly object[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: manifests };
  await plane.kubectl(["apply", "--server-side", "--force-conflicts", "-f", "-"], JSON.stringify(list));
}

function permissiveCrd([kind, group, version]: (typeof foreign)[number]): Manifest {
  const singular = kind.toLowerCase();
  const schema = { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${singular}s.${group}` },
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, singular, plural: `${singular}s` },
      versions: [{ name: version, served: true, storage: true, schema }],
    },
  };
}
