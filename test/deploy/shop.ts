import { readFile } from "node:fs/promises";
import { Agent } from "node:http";
import { fileURLToPath } from "node:url";
import { repeatSteadily, type SteadyRequests } from "../e2e/steady-requests.ts";
import { type Answer, getAt } from "../peers/request.ts";
import { type InstalledChart, namespace, type ReleaseName } from "./installed-chart.ts";

const seed = fileURLToPath(new URL("../../examples/01-seed", import.meta.url));
/** Where the chapter's services are. */
const shop = "higress-course";
/** A host without a rule: a Pod answers, once the plugin answers only where a rule says so. */
export const plainHost = "plain.com";
export const podAnswer = "a Pod's answer\n";

/** The Service of a release's gateways, as who comes from outside reaches it: a port of the node. */
export interface Traffic {
  readonly release: ReleaseName;
  readonly host: string;
  readonly port: number;
}

export async function trafficOf({ plane, node }: InstalledChart, release: ReleaseName): Promise<Traffic> {
  const port = `{.spec.ports[?(@.name=="http")].nodePort}`;
  const service = ["get", "service", `${release}-wasmline-gateway`, "-n", namespace];
  const found = await plane.kubectl([...service, "-o", `jsonpath=${port}`]);
  return { release, host: node.network.node, port: Number(found) };
}

/** The chapter's resources as they are, its services answered by Pods, and a host that the plugin leaves alone. */
export async function applyShop({ plane, image }: InstalledChart): Promise<void> {
  await plane.kubectl(["create", "namespace", shop]);
  const program = `require("http").createServer({ keepAliveTimeout: 0 }, (_, answer) => answer.end(${JSON.stringify(podAnswer)})).listen(8080)`;
  const labels = { app: "shop" };
  const container = {
    ...{ name: "shop", image, command: ["node", "-e", program] },
    readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 },
  };
  const deployment = {
    ...{ apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "shop" } },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [container] } },
    },
  };
  const services = ["echo-server", "other-server"].map((name) => ({
    ...{ apiVersion: "v1", kind: "Service", metadata: { name } },
    spec: { selector: labels, ports: [{ name: "http", port: 8080 }] },
  }));
  const backend = { service: { name: "other-server", port: { number: 8080 } } };
  const ingress = {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: "plain" } },
    spec: {
      rules: [{ host: plainHost, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
    },
  };
  const items = [deployment, ...services, ingress];
  await plane.kubectl(
    ["apply", "-n", shop, "-f", "-"],
    JSON.stringify({ apiVersion: "v1", kind: "List", items }),
  );
}

/** The example's own files. */
export async function applySeed({ plane }: InstalledChart): Promise<void> {
  for (const name of ["custom-response", "chain", "ingresses"])
    await plane.kubectl(["apply", "-f", "-"], await readFile(`${seed}/${name}.yaml`, "utf8"));
}

/** Has the plugin answer only where a rule says so. */
export async function disableDefault({ plane }: InstalledChart): Promise<void> {
  await patchPlugin(plane, [{ op: "add", path: "/spec/defaultConfigDisable", value: true }]);
}

/** Has the plugin answer foo.com with another header. */
export async function editHeader({ plane }: InstalledChart, value: string): Promise<void> {
  const patch = [{ op: "replace", path: "/spec/matchRules/0/config/headers", value: [`key2=${value}`] }];
  await patchPlugin(plane, patch);
}

/** Has the plugin fail closed, and its image at another url. Gives what brings the image back. */
export async function moveImage(cluster: InstalledChart, url: string): Promise<() => Promise<void>> {
  const { plane } = cluster;
  const plugin = ["wasmplugin", "custom-response", "-n", namespace];
  const before = await plane.kubectl(["get", ...plugin, "-o", "jsonpath={.spec.url}"]);
  const replace = (value: string) => patchPlugin(plane, [{ op: "replace", path: "/spec/url", value }]);
  await patchPlugin(plane, [{ op: "add", path: "/spec/failStrategy", value: "FAIL_CLOSE" }]);
  await replace(url);
  return () => replace(before);
}

async function patchPlugin(plane: InstalledChart["plane"], patch: readonly object[]): Promise<void> {
  const plugin = ["wasmplugin", "custom-response", "-n", namespace];
  await plane.kubectl(["patch", ...plugin, "--type=json", "-p", JSON.stringify(patch)]);
}

/** What is wrong with an answer, whatever the rule for foo.com says at the moment. */
const hosts: Readonly<Record<string, (answer: Answer) => boolean>> = {
  "foo.com": ({ body, headers }) => body === '{"hello":"foo"}' && headers.key2 !== undefined,
  [plainHost]: ({ body, headers }) => body === podAnswer && headers["x-transformed"] === "yes",
};

const requestTimeoutMs = 15_000;

/** Requests for what the plugin answers and for what a Pod answers, on connections that are kept and on new ones. */
export function requestSteadily(traffic: readonly Traffic[], pauseMs = 40): readonly SteadyRequests[] {
  return traffic.flatMap((gateway) =>
    Object.entries(hosts).flatMap(([host, isRight]) =>
      [new Agent({ keepAlive: true }), undefined].map((agent) =>
        repeatSteadily(
          async () => {
            const answer = await getAt(gateway, { host, agent, timeoutMs: requestTimeoutMs });
            const { status, body } = answer;
            if (status === 200 && isRight(answer)) return "";
            return `${gateway.release} ${host}${agent ? "" : ", new connection"}: ${status} ${body.slice(0, 100)}`;
          },
          { pauseMs, end: () => agent?.destroy() },
        ),
      ),
    ),
  );
}
