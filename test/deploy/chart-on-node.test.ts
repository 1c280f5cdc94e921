// The chart on a cluster with a real node: its Pods run, and what it says of them is done by who does it in any cluster.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { wasmPlugin } from "../peers/kubernetes-core.ts";
import { type Answer, getAt } from "../peers/request.ts";
import { until } from "../peers/until.ts";
import { type InstalledChart, namespace, releases, startChartCluster } from "./installed-chart.ts";
import { killContainer, type RunningPod, readPods } from "./running-pods.ts";
import {
  applySeed,
  applyShop,
  disableDefault,
  editHeader,
  moveImage,
  plainHost,
  podAnswer,
  requestSteadily,
  type Traffic,
  trafficOf,
} from "./shop.ts";

// Each program that is started waits for the end of this one.
process.setMaxListeners(30);

const deployments = [
  "edge-wasmline-core",
  "edge-wasmline-discovery",
  "edge-wasmline-gateway",
  "envoy-wasmline-gateway",
];
const replicas = 2;
const longMs = 120_000;
/** What a gateway that has answered somebody counts. */
const answered = /^http\.(?!admin\.).*downstream_rq_2xx: [1-9]/m;

let cluster: InstalledChart;
const traffic: Traffic[] = [];

before(async () => {
  cluster = await startChartCluster();
  await cluster.plane.kubectl(["create", "namespace", namespace]);
  const label = "pod-security.kubernetes.io/enforce=restricted";
  await cluster.plane.kubectl(["label", "namespace", namespace, label]);
  await applyShop(cluster);
  for (const release of releases) {
    await cluster.helm("install", release);
    traffic.push(await trafficOf(cluster, release));
  }
});
after(() => cluster?.end());

const kubectl = (...args: readonly string[]) => cluster.plane.kubectl(["-n", namespace, ...args]);

test("helm install: every Pod gets ready by its own probes, and none is restarted on the way", async () => {
  await allReady();
  assert.deepEqual(
    (await readPods(cluster)).filter(({ restarts }) => restarts > 0),
    [],
  );
});

test("kubectl apply of the chapter's resources: in effect through the Service of either kind of gateway", async () => {
  await applySeed(cluster);
  for (const { host, header, value, body } of outcomes)
    await untilAnswered(host, (answer) => answer.body === body && answer.headers[header] === value);
  await disableDefault(cluster);
  await untilAnswered(
    plainHost,
    ({ body, headers }) => body === podAnswer && headers["x-transformed"] === "yes",
  );
});

test("conditions say of all four gateways that they run it", async () => {
  for (const name of ["custom-response", "wasm-transformer"])
    await until(
      `${name} is programmed`,
      async () =>
        /"4 of 4 gateways/.test(await kubectl("get", "wasmplugin", name, "-o", "jsonpath={.status}")),
      longMs,
    );
});

test("the API server asks the webhook behind its Service, which warns of what takes no effect", async () => {
  const away = JSON.stringify(wasmPlugin("away", { url: "oci://a/b" }, "default"));
  await assert.rejects(
    cluster.plane.kubectl(["create", "--dry-run=server", "--warnings-as-errors", "-f", "-"], away),
    /metadata\.namespace: only WasmPlugins in "higress-system" take effect/,
  );
});

test("an autoscaler starts a gateway under load and ends one after it: no request fails", async () => {
  const [deployment, autoscaler] = ["deployment/edge-wasmline-gateway", "hpa/edge-wasmline-gateway"];
  const edge = traffic.filter(({ release }) => release === "edge");
  const wanted = (count: number) =>
    kubectl("wait", autoscaler, `--for=jsonpath={.status.desiredReplicas}=${count}`, "--timeout=120s");
  // At their requests, 20m for the two containers of a Pod, gateways that are idle take a third of it.
  const behavior = { scaleDown: { stabilizationWindowSeconds: 5 } };
  const hpa = { enabled: true, minReplicas: replicas, maxReplicas: replicas + 1, targetCPU: 450, behavior };
  await cluster.helm("upgrade", "edge", { gateway: { hpa } });
  await whileRequesting(
    async () => {
      await whileRequesting(
        async () => {
          await wanted(replicas + 1);
          await kubectl("rollout", "status", deployment, "--timeout=120s");
          await until("each gateway has answered", allHaveAnswered, longMs);
        },
        [edge, edge].flatMap((gateways) => requestSteadily(gateways, 0)),
      );
      await wanted(replicas);
      await allReady();
    },
    requestSteadily(edge, 400),
  );
  await cluster.helm("upgrade", "edge");
});

test("helm upgrade replaces every Pod of all roles: no request fails", async () => {
  const names = new Set((await readPods(cluster)).map(({ name }) => name));
  const podAnnotations = { "example.com/restarted": "yes" };
  const changed = { core: { podAnnotations }, discovery: { podAnnotations }, gateway: { podAnnotations } };
  await whileRequesting(async () => {
    for (const release of releases) await cluster.helm("upgrade", release, changed);
    await allReady();
  });
  assert.deepEqual(
    (await readPods(cluster)).filter(({ name }) => names.has(name)),
    [],
  );
});

test("gateways without the module of a plugin that fails closed take nobody's place: no request fails", async () => {
  const before = new Set((await readPods(cluster)).map(({ name }) => name));
  await whileRequesting(async () => {
    const moveBack = await moveImage(cluster, "oci://registry.example.com:1/nowhere:1");
    for (const release of releases)
      await kubectl("rollout", "restart", `deployment/${release}-wasmline-gateway`);
    for (const release of releases)
      await until(
        `the new gateway of ${release} says why it is not ready`,
        async () => {
          const pods = await readPods(cluster);
          const pod = pods.find(
            ({ name, deployment }) => deployment === `${release}-wasmline-gateway` && !before.has(name),
          );
          if (!pod?.address) return false;
          const { status, body } = await getAt(
            { host: pod.address, port: 15020 },
            { path: "/healthz/ready" },
          );
          return status === 503 && /custom-response fails closed/.test(body) && !pod.isReady;
        },
        longMs,
      );
    await moveBack();
    await allReady();
  });
});

for (const [deployment, container] of [
  ["edge-wasmline-core", "core"],
  ["edge-wasmline-discovery", "discovery"],
  ["edge-wasmline-gateway", "agent"],
] as const)
  test(`${container} killed: kubelet starts it again, no request fails, and an edit takes effect`, async () => {
    await whileRequesting(async () => {
      const restarted = await killContainer(cluster, deployment, container);
      await editTakesEffect(`after-${container}`);
      await restarted();
      await allReady();
    });
  });

for (const [deployment, container] of [
  ["edge-wasmline-gateway", "gateway"],
  ["envoy-wasmline-gateway", "agent"],
] as const)
  test(`${deployment} killed: kubelet starts it again, and from when it is ready no request fails`, async () => {
    const restarted = await killContainer(cluster, deployment, container);
    await restarted();
    await allReady();
    await whileRequesting(() => editTakesEffect(`after-${deployment}`));
  });

test("a node that is drained keeps a Pod of each role, by their budgets: no request fails", async () => {
  const { name } = cluster.node;
  await whileRequesting(async () => {
    const pods = ["--pod-selector=app.kubernetes.io/part-of=wasmline", "--delete-emptydir-data"];
    await assert.rejects(
      kubectl("drain", name, ...pods, "--timeout=8s"),
      /would violate the pod's disruption budget/,
    );
    const running = (await readPods(cluster)).filter(isServing);
    assert.deepEqual(new Set(running.map(({ deployment }) => deployment)), new Set(deployments));
    await editTakesEffect("while-drained");
    await kubectl("uncordon", name);
    await allReady();
  });
});

test("a program that hangs is restarted by its liveness probe", async () => {
  await whileRequesting(async () => {
    await hasten("edge-wasmline-discovery", "discovery", "http-status");
    await hasten("edge-wasmline-gateway", "gateway", "http");
    await allReady();
  });
  await whileRequesting(async () => {
    const restarted = await killContainer(cluster, "edge-wasmline-discovery", "discovery", "SIGSTOP");
    await editTakesEffect("while-discovery-hangs");
    await restarted();
    await allReady();
  });
  const restarted = await killContainer(cluster, "edge-wasmline-gateway", "gateway", "SIGSTOP");
  await restarted();
  await allReady();
  await whileRequesting(() => editTakesEffect("after-the-gateway-hung"));
});

/**
 * Has the chart's own probe asked more often, from when a port is open: it is for programs on busy machines, also while
 * they start, and this is for a test.
 */
async function hasten(deployment: string, container: string, port: string): Promise<void> {
  const startupProbe = { tcpSocket: { port }, periodSeconds: 1, failureThreshold: 120 };
  const livenessProbe = { periodSeconds: 3, timeoutSeconds: 3, failureThreshold: 4 };
  const spec = { template: { spec: { containers: [{ name: container, startupProbe, livenessProbe }] } } };
  await kubectl("patch", `deployment/${deployment}`, "-p", JSON.stringify({ spec }));
}

async function allReady(): Promise<void> {
  for (const deployment of deployments)
    await kubectl("rollout", "status", `deployment/${deployment}`, "--timeout=120s");
  await until(
    "all Pods are ready, and the old ones are gone",
    async () => {
      const pods = await readPods(cluster);
      return pods.length === deployments.length * replicas && pods.every(isServing);
    },
    longMs,
  );
}

function isServing({ isReady, isEnding }: RunningPod): boolean {
  return isReady && !isEnding;
}

async function untilAnswered(host: string, isRight: (answer: Answer) => boolean): Promise<void> {
  await Promise.all(
    traffic.map((gateway) =>
      until(
        `${host} is answered by ${gateway.release}`,
        async () => isRight(await getAt(gateway, { host, timeoutMs: 15_000 })),
        longMs,
      ),
    ),
  );
}

async function editTakesEffect(value: string): Promise<void> {
  await editHeader(cluster, value);
  await untilAnswered("foo.com", ({ headers }) => headers.key2 === value);
}

/** Whether there is a gateway more than usual, and all have counted requests. */
async function allHaveAnswered(): Promise<boolean> {
  const pods = await readPods(cluster);
  const gateways = pods.filter(({ deployment }) => deployment === "edge-wasmline-gateway").filter(isServing);
  const ask = 'fetch("http://127.0.0.1:15000/stats").then((answer) => answer.text()).then(console.log)';
  const counted = await Promise.all(
    gateways.map(({ name }) => kubectl("exec", name, "--container=gateway", "--", "node", "-e", ask)),
  );
  return counted.length > replicas && counted.every((stats) => answered.test(stats));
}

async function whileRequesting(act: () => Promise<void>, running = requestSteadily(traffic)): Promise<void> {
  try {
    await act();
  } finally {
    const ends = await Promise.allSettled(running.map((requests) => requests.finish()));
    const failures = ends.flatMap((end) => (end.status === "rejected" ? [`${end.reason.message}`] : []));
    assert.deepEqual(failures, []);
  }
}
