import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeCertificate } from "../peers/certificate.ts";
import { type DockerRegistry, startDockerRegistry, testerHtpasswd } from "../peers/docker-registry.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { applyObjects, installCrds, systemNamespace, wasmPlugin } from "../peers/kubernetes-core.ts";
import { paddedModule } from "../peers/padded-module.ts";
import { pushImage } from "../peers/push-image.ts";
import {
  type GatewaySystem,
  type Replica,
  type ReplicatedSystems,
  startReplicatedSystems,
} from "../peers/replicated-system.ts";
import { type Answer, get } from "../peers/request.ts";
import { getVerified } from "../peers/secure-request.ts";
import { until } from "../peers/until.ts";
import { untilConditions } from "./plugin-conditions.ts";
import { getJson } from "./status.ts";
import { repeatSteadily, type SteadyRequests, startSteadyRequests } from "./steady-requests.ts";

// One cluster, two gateways with all that is behind them, and requests all the time: one fault after the other. Each time
// something is changed while the fault lasts, or right after it, and has to be in effect on both in the end.

// Each program that is started waits for the end of this one.
process.setMaxListeners(30);

const plugins = fileURLToPath(new URL("../../build/plugins", import.meta.url));
/** Long after the pings that notice a watch that stalls, and before any watch ends as it should. */
const longMs = 30_000;

let plane: Kubernetes;
let endPlane: () => Promise<void>;
let systems: ReplicatedSystems;
let registry: DockerRegistry;
let directory: string;
/** Of which a host's certificate may be one. */
const authorities: string[] = [];
const steady: SteadyRequests[] = [];
/** What the plugin may mark answers with now: an edit may be in effect or not. */
let marks: readonly string[] = [];
/** Everything that was created and not deleted. */
const hosts = new Set<string>();

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "kubernetes-faults-"));
  registry = await startDockerRegistry();
  ({ plane, end: endPlane } = await startKubernetes({ controllers: true }));
  await installCrds(plane);
  systems = await startReplicatedSystems(plane);
});
after(async () => {
  for (const requests of steady) await requests.finish().catch(() => {});
  await systems?.close();
  await endPlane?.();
  await registry?.stop();
  await rm(directory, { recursive: true, force: true });
});

const ofService = (namespace: string) => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace } },
  // An API server takes no endpoints on loopback.
  spec: { type: "ExternalName", externalName: "127.0.0.1", ports: [{ port: systems.upstreamPort }] },
});

function ingress(host: string, namespace = systemNamespace, secretName?: string): object {
  const backend = { service: { name: "web", port: { number: systems.upstreamPort } } };
  return {
    ...{ apiVersion: "networking.k8s.io/v1", kind: "Ingress", metadata: { name: host, namespace } },
    spec: {
      ingressClassName: "higress",
      ...(secretName && { tls: [{ hosts: [host], secretName }] }),
      rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
    },
  };
}

/** Marks every answer of an upstream. */
const markWith = (mark: string) =>
  wasmPlugin("mark", {
    url: `file://${plugins}/transformer.wasm`,
    phase: "AUTHN",
    defaultConfig: { respRules: [{ operate: "add", headers: [{ key: "x-mark", value: mark }] }] },
  });

/** Answers on one host, by a module that needs a pull secret. */
const pulled = (tag: string) =>
  wasmPlugin("pulled", {
    url: `oci://${registry.host}/plugins/pulled:${tag}`,
    imagePullSecret: "registry",
    priority: 10,
    defaultConfigDisable: true,
    matchRules: [{ domain: ["pulled.com"], config: { body: tag } }],
  });

function pullSecret(user: string): object {
  const auth = Buffer.from(`${user}:open-sesame`).toString("base64");
  return {
    ...{ apiVersion: "v1", kind: "Secret", type: "kubernetes.io/dockerconfigjson" },
    metadata: { name: "registry", namespace: systemNamespace },
    stringData: { ".dockerconfigjson": JSON.stringify({ auths: { [registry.host]: { auth } } }) },
  };
}

/** From now on the registry knows this user only. */
async function letIn(user: string): Promise<void> {
  await registry.kill();
  await registry.restart({ htpasswd: testerHtpasswd.replace("tester", user) });
}

/** A new certificate for a host, and the Secret with it. */
async function newCertificate(host: string, name: string, namespace = systemNamespace) {
  const files = makeCertificate(directory, name, `DNS:${host}`);
  const certificate = await readFile(files.certificate, "utf8");
  authorities.push(certificate);
  const secret = {
    ...{ apiVersion: "v1", kind: "Secret", type: "kubernetes.io/tls" },
    metadata: { name: `${host}-tls`, namespace },
    stringData: { "tls.crt": certificate, "tls.key": await readFile(files.key, "utf8") },
  };
  return { secret, fingerprint: new X509Certificate(certificate).fingerprint256 };
}

const onBoth = (
  what: string,
  passes: (system: GatewaySystem) => Promise<boolean> | boolean,
  timeoutMs?: number,
) =>
  Promise.all(
    systems.all.map((system) => until(`${what} (${system.gateway})`, () => passes(system), timeoutMs)),
  );

const askFor = ({ trafficPort }: GatewaySystem, host: string) => get(trafficPort, "/", host);

const complaintAbout = ({ status, headers, body }: Answer) =>
  status === 200 && body === "upstream /\n" && marks.includes(String(headers["x-mark"]))
    ? ""
    : `${status} ${body} ${headers["x-mark"]}, not ${marks.join(" or ")}`;

/** Changes two things: another mark, and a host that was not there. */
async function change(mark: string): Promise<void> {
  marks = [...marks.slice(-1), mark];
  await applyObjects(plane, markWith(mark), ingress(`${mark}.com`));
  hosts.add(`${mark}.com`);
}

/** Waits until the last change is in effect on both gateways, and its conditions say so. */
async function untilInEffect(timeoutMs?: number): Promise<void> {
  const mark = marks.at(-1)!;
  await onBoth(
    `${mark} is in effect`,
    async (system) => {
      const answers = await Promise.all(["web.com", `${mark}.com`].map((host) => askFor(system, host)));
      return answers.every(({ status, headers }) => status === 200 && headers["x-mark"] === mark);
    },
    timeoutMs,
  );
  await untilProgrammed("mark");
}

const untilShown = (host: string, fingerprint: string) =>
  onBoth("the new certificate is shown", async ({ securePort }) => {
    const answer = await getVerified(securePort, host, authorities);
    return answer.status === 200 && answer.fingerprint === fingerprint;
  });

const untilProgrammed = (plugin: string) =>
  untilConditions(
    plane,
    plugin,
    /^Accepted=True/,
    /^Resolved=True/,
    /^Programmed=True Programmed: 2 of 2 gateways run it$/,
  );

const allCores = () => systems.all.flatMap(({ cores }) => cores);

interface Source {
  readonly watching: boolean;
  readonly collections: readonly { readonly resource: string; readonly [counter: string]: unknown }[];
}

/** A counter of what a core follows of WasmPlugins, and whether it watches everything. */
async function sourceOf({ httpPort }: Replica, counter: "relists" | "stalls") {
  const { source } = await getJson<{ source: Source }>(httpPort, "/api/status");
  const of = source.collections.find(({ resource }) => resource.startsWith("wasmplugins"));
  return { watching: source.watching, count: Number(of?.[counter]) };
}

const onAllCores = (what: string, passes: (core: Replica) => Promise<boolean>, timeoutMs?: number) =>
  Promise.all(
    allCores().map((core) => until(`${what} (port ${core.httpPort})`, () => passes(core), timeoutMs)),
  );

const isWatching = async (core: Replica) => (await sourceOf(core, "stalls")).watching;

test("everything is in effect, and requests begin", async () => {
  const { secret } = await newCertificate("secure.com", "first");
  const module = await readFile(`${plugins}/custom-response.wasm`);
  for (const [tag, layer] of [
    ["one", module],
    ["two", paddedModule(module, module.length + 1)],
  ] as const)
    await pushImage(registry.host, { repository: "plugins/pulled", tag, layer });
  await letIn("tester");
  await applyObjects(plane, ofService(systemNamespace), secret, pullSecret("tester"), pulled("one"));
  for (const host of ["web.com", "pulled.com"]) await applyObjects(plane, ingress(host));
  await applyObjects(plane, ingress("secure.com", systemNamespace, "secure.com-tls"));
  hosts.add("web.com").add("secure.com");
  await change("begin");
  await untilInEffect(60_000);
  await untilProgrammed("pulled");
  for (const { trafficPort, securePort } of systems.all)
    steady.push(
      startSteadyRequests(trafficPort, "web.com", complaintAbout),
      startSteadyRequests(trafficPort, "pulled.com", ({ status, body }) =>
        status === 200 && /^one$|^two$/.test(body) ? "" : `${status} ${body}`,
      ),
      repeatSteadily(
        async () => {
          const { status } = await getVerified(securePort, "secure.com", authorities);
          return status === 200 ? "" : `${status} over TLS`;
        },
        { pauseMs: 50 },
      ),
    );
});

test("a discovery that a gateway is connected to is killed: the other one serves it", async () => {
  for (const [index, { gateway, discoveries }] of systems.all.entries()) {
    const isConnected = async ({ httpPort }: Replica) =>
      (await getJson<unknown[]>(httpPort, "/debug/syncz").catch(() => [])).length > 0;
    const killed = await until(`${gateway} is connected`, async () => {
      for (const discovery of discoveries) if (await isConnected(discovery)) return discovery;
      return undefined;
    });
    await killed.program.stop("SIGKILL");
    await change(`discovery-${index}`);
    await untilInEffect();
    killed.restart();
    await until("it is back", async () => (await get(killed.httpPort, "/ready")).status === 200);
  }
});

test("the leader is killed: another core leads within the lease, and says what is", async () => {
  const leads = ({ program }: Replica) => / leading /.test(program.stderr());
  const [leader, ...rest] = allCores().filter(leads);
  assert.deepEqual(rest, []);
  const others = allCores().filter((core) => core !== leader);
  await leader!.program.stop("SIGKILL");
  const killed = performance.now();
  await change("leader");
  await until("another one leads", () => others.some(leads), 60_000);
  console.log(`another core leads after ${seconds(performance.now() - killed)} s`);
  await untilInEffect();
  assert.equal(others.filter(leads).length, 1);
  leader!.restart();
  await until("it is back", async () => (await get(leader!.httpPort, "/ready")).status === 200);
});

const seconds = (ms: number) => (ms / 1000).toFixed(1);

test("a certificate and a pull secret rotate", async () => {
  const { secret, fingerprint } = await newCertificate("secure.com", "second");
  await applyObjects(plane, secret);
  await untilShown("secure.com", fingerprint);

  // The registry knows another user now: with the old Secret there is no new module, and the old one serves on.
  await letIn("another");
  await applyObjects(plane, pulled("two"));
  await untilConditions(
    plane,
    "pulled",
    /^Resolved=False ModuleUnavailable: .*(401|unauthorized|credentials)/is,
    /^Programmed=False Refused: 0 of 2/,
  );
  for (const system of systems.all) assert.equal((await askFor(system, "pulled.com")).body, "one");
  await applyObjects(plane, pullSecret("another"));
  await onBoth(
    "the new module serves",
    async (system) => (await askFor(system, "pulled.com")).body === "two",
  );
  await untilProgrammed("pulled");
});

test("a namespace is deleted with all that is in it, and another one of its name is as good", async () => {
  const [namespace, host] = ["apps", "apps.com"];
  const isServed = async ({ securePort }: GatewaySystem) =>
    (await getVerified(securePort, host, authorities)).status === 200;
  for (const round of ["first", "second"]) {
    await plane.kubectl(["create", "namespace", namespace]);
    const { secret, fingerprint } = await newCertificate(host, `apps-${round}`, namespace);
    const elsewhere = wasmPlugin("elsewhere", { url: "file:///nowhere.wasm" }, namespace);
    await applyObjects(
      plane,
      secret,
      ofService(namespace),
      ingress(host, namespace, `${host}-tls`),
      elsewhere,
    );
    await untilShown(host, fingerprint);
    if (round === "second") break;
    const deletion = plane.kubectl(["delete", "namespace", namespace, "--timeout=60s"]);
    await change("namespace");
    await untilInEffect();
    await deletion;
    await onBoth("its host is gone", async (system) => {
      const served = await isServed(system).catch(() => false);
      return !served && (await askFor(system, host)).status === 404;
    });
  }
  hosts.add(host);
});

test("history that etcd has forgotten (410): what changed meanwhile is found by lists", async () => {
  const relistsOf = async (core: Replica) => (await sourceOf(core, "relists")).count;
  const before = new Map<Replica, number>();
  for (const core of allCores()) before.set(core, await relistsOf(core));
  await change("before-compaction");
  await untilInEffect();
  systems.network.cut();
  await change("compaction");
  await plane.kubectl(["delete", "ingress", "before-compaction.com", "-n", systemNamespace]);
  hosts.delete("before-compaction.com");
  await plane.compact();
  // Its own memory of what was would do otherwise.
  await plane.stopApiServer();
  await plane.startApiServer();
  systems.network.mend();
  await untilInEffect();
  await onBoth(
    "what was deleted meanwhile is gone",
    async (system) => (await askFor(system, "before-compaction.com")).status === 404,
  );
  await onAllCores("it listed anew", async (core) => (await relistsOf(core)) > before.get(core)!);
  await onAllCores("it watches", isWatching);
});

test("watches that stall without an end: what is changed meanwhile takes effect", async () => {
  const stallsOf = async (core: Replica) => (await sourceOf(core, "stalls")).count;
  const before = new Map<Replica, number>();
  for (const core of allCores()) before.set(core, await stallsOf(core));
  systems.network.stall();
  const began = performance.now();
  await change("stall");
  const { secret, fingerprint } = await newCertificate("secure.com", "third");
  await applyObjects(plane, secret);
  await onAllCores("it noticed", async (core) => (await stallsOf(core)) > before.get(core)!, longMs);
  await untilInEffect();
  await untilShown("secure.com", fingerprint);
  console.log(`in effect, and said, ${seconds(performance.now() - began)} s after the stall`);
  await onAllCores("it watches", isWatching, longMs);
});

test("the API server is away for a minute: everything serves on, and what is changed then takes effect", async () => {
  await change("before-outage");
  await plane.stopApiServer();
  const end = performance.now() + 60_000;
  await onAllCores("the outage is known", async (core) => !(await isWatching(core)));
  for (const { httpPort } of allCores()) assert.equal((await get(httpPort, "/ready")).status, 200);
  // What starts meanwhile knows nothing, and takes nothing away from who knows.
  for (const { cores, discoveries } of systems.all)
    for (const replica of [cores[0]!, discoveries[0]!]) {
      await replica.program.stop("SIGKILL");
      replica.restart();
    }
  await pause(end - performance.now());
  await plane.startApiServer();
  const back = performance.now();
  await change("after-outage");
  await untilInEffect();
  console.log(`in effect, and said, ${seconds(performance.now() - back)} s after the API server's return`);
  await onAllCores("it watches", isWatching);
});

test("no request failed, and no change was lost", async () => {
  for (const requests of steady) await requests.finish();
  console.log(`${steady.reduce((sum, { answers }) => sum + answers, 0)} requests, all answered as expected`);
  const mark = marks.at(-1);
  for (const system of systems.all)
    for (const host of hosts) {
      const { status, headers } = await askFor(system, host);
      assert.deepEqual([status, headers["x-mark"]], [200, mark], `${host} at ${system.gateway}`);
    }
  for (const plugin of ["mark", "pulled"]) await untilProgrammed(plugin);
  for (const { program } of allCores())
    assert.doesNotMatch(program.stderr(), /open-sesame|BEGIN (EC )?PRIVATE/);
});
