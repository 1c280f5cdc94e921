import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { GatewayKind } from "../peers/gateways.ts";
import { gatewayFlags } from "../peers/gateways.ts";
import { type Kubernetes, runKubernetes } from "../peers/kubernetes.ts";
import {
  applyObjects,
  coreKubeconfig,
  installCrds,
  systemNamespace as namespace,
  wasmPlugin,
} from "../peers/kubernetes-core.ts";
import { freePortOffset } from "../peers/ports.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { until } from "../peers/until.ts";

const module = fileURLToPath(new URL("../../build/plugins/custom-response.wasm", import.meta.url));

const ingress = {
  ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "web", namespace } },
  spec: {
    ingressClassName: "higress",
    defaultBackend: { service: { name: "web", port: { number: 80 } } },
  },
};
const service = {
  ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace } },
  spec: { ports: [{ port: 80 }] },
};

const customResponse = (name: string, defaultConfig: object, more: object = {}) =>
  wasmPlugin(name, { url: `file://${module}`, phase: "AUTHN", priority: 200, defaultConfig, ...more });

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration: number;
  readonly lastTransitionTime: string;
}

interface Plugin {
  readonly metadata: { readonly generation: number; readonly resourceVersion: string };
  readonly status?: {
    readonly conditions: readonly Condition[];
    readonly gateways?: object;
    readonly module?: object;
  };
}

async function getPlugin(plane: Kubernetes, name: string): Promise<Plugin> {
  return JSON.parse(await plane.kubectl(["get", "wasmplugin", name, "-n", namespace, "-o", "json"]));
}

/** The conditions of a plugin, each as `type=status reason: message`, once they speak of its newest version. */
async function conditionsOf(plane: Kubernetes, name: string): Promise<string[] | undefined> {
  const { metadata, status } = await getPlugin(plane, name);
  if (!status?.conditions.every((one) => one.observedGeneration === metadata.generation)) return undefined;
  return status.conditions.map((one) => `${one.type}=${one.status} ${one.reason}: ${one.message}`);
}

async function untilConditions(
  plane: Kubernetes,
  name: string,
  ...expected: readonly RegExp[]
): Promise<void> {
  let last: readonly string[] | undefined;
  await until(`${name} has ${expected}`, async () => {
    last = await conditionsOf(plane, name);
    return last?.length === 3 && expected.every((pattern) => last!.some((text) => pattern.test(text)));
  }).catch((error) => {
    throw new Error(`${error.message}; it has\n${last?.join("\n")}`);
  });
}

/** What runs in one pod of Higress', and the gateway that is connected to it. */
interface Pod {
  readonly gateway: GatewayKind;
  readonly offset: number;
  core: Program;
}

const election = ["--lease-duration", "3", "--lease-renew-deadline", "2", "--lease-retry-period", "1"];

async function startPods(t: TestContext, kubeconfig: string): Promise<readonly Pod[]> {
  const programs = new Set<Program>();
  const base = await mkdtemp(join(tmpdir(), "wasmline-"));
  t.after(async () => {
    await Promise.all([...programs].map((program) => program.stop()));
    await rm(base, { recursive: true, force: true });
  });
  const start = (role: string, offset: number, ...flags: readonly string[]) => {
    const program = startWasmline([role, "--port-offset", String(offset), ...flags]);
    programs.add(program);
    return program;
  };
  const kinds: readonly GatewayKind[] = ["embedded", "envoy"];
  const offsets = [await freePortOffset(), await freePortOffset()];
  const statusFlags = offsets.flatMap((offset) => [
    "--discovery-status",
    `http://127.0.0.1:${15014 + offset}`,
  ]);
  const pods: Pod[] = [];
  for (const [index, gateway] of kinds.entries()) {
    const offset = offsets[index]!;
    const startCore = () =>
      start(
        ...(["core", offset, "--source", "kubernetes", "--kubeconfig", kubeconfig] as const),
        ...election,
        ...statusFlags,
      );
    const dataDir = join(base, gateway);
    start("discovery", offset);
    const [, , ...envoyFlags] = await gatewayFlags(gateway);
    const agentFlags = gateway === "envoy" ? envoyFlags : ["--no-envoy", "--gateway-abi", "higress"];
    start("agent", offset, "--data-dir", dataDir, "--node-name", gateway, ...agentFlags);
    if (gateway === "embedded")
      start("gateway", offset, "--data-dir", dataDir, "--node-name", gateway, "--concurrency", "1");
    pods.push({ gateway, offset, core: startCore() });
  }
  return pods;
}

test("conditions and events say what became of a plugin on every gateway; another core takes over", async (t) => {
  const plane = await runKubernetes(t);
  await installCrds(plane);
  await applyObjects(plane, ingress, service);
  const pods = await startPods(t, await coreKubeconfig(plane));
  const digest = createHash("sha256")
    .update(await readFile(module))
    .digest("hex");

  await applyObjects(plane, customResponse("first", { body: "one" }));
  await untilConditions(
    plane,
    "first",
    /^Accepted=True Accepted: it is sent to gateways$/,
    new RegExp(`^Resolved=True Resolved: sha256:${digest}$`),
    /^Programmed=True Programmed: 2 of 2 gateways run it$/,
  );
  assert.match(
    await plane.kubectl(["get", "wasmplugins", "-n", namespace]),
    /^NAME +PHASE +PRIORITY +PROGRAMMED +AGE\nfirst +AUTHN +200 +True +\d+s\n$/,
  );
  const { status } = await getPlugin(plane, "first");
  assert.deepEqual(status?.gateways, { total: 2, programmed: 2 });
  assert.deepEqual(status?.module, { digest: `sha256:${digest}` });

  // The plugin's own refusal.
  await applyObjects(plane, customResponse("first", { status_code: "none" }));
  await untilConditions(
    plane,
    "first",
    /^Accepted=True/,
    /^Resolved=True/,
    /^Programmed=False Refused: 0 of 2 gateways run it; 2 gateways refused it: .*embedded.*none.*envoy.*none/s,
  );
  await applyObjects(plane, customResponse("first", { body: "two" }, { url: "file:///nowhere.wasm" }));
  await untilConditions(
    plane,
    "first",
    /^Resolved=False ModuleUnavailable: .*nowhere\.wasm/,
    /^Programmed=False Refused/,
  );
  await applyObjects(plane, customResponse("first", { body: "three" }));
  const programmed = ["wait", "--for=condition=Programmed", "wasmplugin/first", "-n", namespace];
  await plane.kubectl([...programmed, "--timeout=30s"]);
  await untilConditions(plane, "first", /^Resolved=True/, /^Programmed=True/);

  const described = await until("the events are described", async () => {
    const text = await plane.kubectl(["describe", "wasmplugin", "first", "-n", namespace]);
    const all = /Normal +Programmed .*\n.*Warning +Refused .*\n(.*\n)*.*Normal +Programmed/;
    return all.test(text) ? text : undefined;
  });
  assert.match(described, /Warning +ModuleUnavailable +\S+ +wasmline\.io\/core .*nowhere\.wasm/);

  // What says nothing new is not written.
  await plane.kubectl(["annotate", "wasmplugin", "first", "-n", namespace, "note=1"]);
  const { metadata } = await getPlugin(plane, "first");
  await applyObjects(plane, customResponse("second", { body: "one" }));
  await untilConditions(plane, "second", /^Programmed=True/);
  assert.equal((await getPlugin(plane, "first")).metadata.resourceVersion, metadata.resourceVersion);

  // In another namespace nothing takes effect.
  await plane.kubectl(["create", "namespace", "apps"]);
  await applyObjects(plane, wasmPlugin("elsewhere", { url: `file://${module}` }, "apps"));
  await until("it says so", async () =>
    /NamespaceIgnored/.test(
      await plane.kubectl(["get", "wasmplugin", "elsewhere", "-n", "apps", "-o", "yaml"]),
    ),
  );

  // The leader is killed: the other core writes, and knows that one discovery has no core.
  const leads = ({ core }: Pod) => / leading /.test(core.stderr());
  const leader = pods.find(leads)!;
  const other = pods.find((pod) => pod !== leader)!;
  assert.equal(leads(other), false);
  await leader.core.stop("SIGKILL");
  await applyObjects(plane, customResponse("first", { body: "four" }));
  await until("the other leads", () => leads(other));
  await untilConditions(
    plane,
    "first",
    /^Programmed=False Pending: 1 of 2 gateways runs it; the others have not answered yet$/,
  );

  // Who ends gives the lead back.
  assert.equal(await other.core.stop(), 0);
  const holder = ["get", "lease", "wasmline-core", "-n", namespace, "-o", "jsonpath={.spec.holderIdentity}"];
  assert.equal(await plane.kubectl(holder), "");
});
