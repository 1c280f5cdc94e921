import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { outcomes } from "../../examples/01-seed/chapter.ts";
import { type Kubernetes, startKubernetes } from "../peers/kubernetes.ts";
import { startWasmline } from "../peers/program.ts";
import { get } from "../peers/request.ts";
import { applySeed, prepareCluster } from "../peers/seed-in-cluster.ts";
import { layOutSeed, type SeedFiles } from "../peers/seed-system.ts";
import { createRoles, type SeparateRoles } from "../peers/separate-roles.ts";
import { until } from "../peers/until.ts";
import { ecdsStatus, getJson } from "./status.ts";
import { startSteadyRequests } from "./steady-requests.ts";

/** A gateway with a control plane of its own, as a pod beside it would have it. */
interface System {
  readonly files: SeedFiles;
  readonly roles: SeparateRoles;
}

interface Source {
  readonly synced: boolean;
  readonly watching: boolean;
  readonly lastContact: string;
  readonly collections: readonly { readonly resource: string; readonly objects: number }[];
}

// Each program that is started waits for the end of this one.
process.setMaxListeners(20);

let plane: Kubernetes;
let endPlane: () => Promise<void>;
const systems: System[] = [];

before(async () => {
  ({ plane, end: endPlane } = await startKubernetes());
  for (const gateway of ["envoy", "embedded"] as const) {
    const files = await layOutSeed(gateway);
    const core = ["--source", "kubernetes", "--kubeconfig", plane.kubeconfig, "--ingress-class", ""];
    const roles = createRoles(files, { core });
    systems.push({ files, roles });
    for (const role of roles.all) roles.start(role);
  }
});

after(async () => {
  for (const { files, roles } of systems) {
    await roles.close();
    await files.close();
  }
  await endPlane();
});

const answerOf = ({ files }: System, host: string) => get(files.trafficPort, "/", host);

const onBoth = (what: string, passes: (system: System) => Promise<boolean>, timeoutMs?: number) =>
  Promise.all(
    systems.map((system) => until(`${what} (${system.files.gateway})`, () => passes(system), timeoutMs)),
  );

const sourceOf = async ({ files }: System) =>
  (await getJson<{ source: Source }>(8888 + files.offset, "/api/status")).source;

test("an empty cluster is ready, and says that the CRD is missing", async () => {
  await onBoth(
    "core is ready",
    async ({ files }) => (await get(8888 + files.offset, "/ready")).status === 200,
    60_000,
  );
  for (const { roles } of systems)
    assert.match(roles.stderr("core"), /no WasmPlugin takes effect until its CRD is installed/);
});

test("kubectl apply of the chapter's resources: each plugin in effect on both gateways", async () => {
  await prepareCluster(plane);
  await applySeed(plane, systems[0]!.files);
  // Both answer by themselves; what they let pass goes to one upstream.
  for (const { host, header, value, body } of outcomes)
    await onBoth(
      `${host} is answered by its rule`,
      async (system) => {
        const answer = await answerOf(system, host).catch(() => undefined);
        return answer?.headers[header] === value && answer.body === body;
      },
      60_000,
    );
  for (const plugin of ["wasm-transformer", "wasm-keyauth", "easy-logger"])
    await onBoth(`${plugin} is in effect`, async ({ files }) => {
      const status = await ecdsStatus(files.offset, plugin);
      return status?.state === "SYNCED";
    });
  await onBoth("the source is watched", async (system) => (await sourceOf(system)).watching);
  const { collections, lastContact } = await sourceOf(systems[0]!);
  assert.ok(Date.now() - Date.parse(lastContact) < 120_000);
  const objects = Object.fromEntries(collections.map(({ resource, objects }) => [resource, objects]));
  assert.deepEqual([objects["wasmplugins.extensions.higress.io"], objects.secrets], [4, 1]);
  const { body } = await get(8888 + systems[0]!.files.offset, "/metrics");
  assert.match(body, /^wasmline_source_synced 1$/m);
  assert.match(body, /^wasmline_source_watching 1$/m);
  assert.match(body, /^wasmline_source_objects\{resource="secrets",namespace=""\} 1$/m);
});

const edit = async (from: string, to: string) => {
  const text = await readFile(join(systems[0]!.files.dir, "custom-response.yaml"), "utf8");
  await plane.kubectl(["apply", "-f", "-"], text.replace(from, to));
};

test("edits take effect on both, and no request fails", async () => {
  const loads = systems.map(({ files }) =>
    startSteadyRequests(files.trafficPort, "other.com", ({ status, headers }) =>
      status === 200 && /^value1$|^edit-/.test(String(headers.key1))
        ? ""
        : `${status} ${JSON.stringify(headers)}`,
    ),
  );
  const times: number[] = [];
  for (let round = 1; round <= 5; round++) {
    await edit("key1=value1", `key1=edit-${round}`);
    const applied = performance.now();
    await onBoth("the edit is in effect", async (system) => {
      const answer = await answerOf(system, "other.com");
      return answer.headers.key1 === `edit-${round}`;
    });
    times.push(performance.now() - applied);
  }
  for (const load of loads) await load.finish();
  console.log(`ms from kubectl's end to effect on both gateways: ${times.map(Math.round).join(" ")}`);
});

test("what the API server refuses is named by its field", async () => {
  await assert.rejects(edit("priority: 200", "priority: high"), /spec\.priority/);
});

test("while the API server is away everything stays, and what is edited afterwards takes effect", async () => {
  const loads = systems.map(({ files }) =>
    startSteadyRequests(files.trafficPort, "other.com", ({ status, headers }) =>
      status === 200 && /^edit-5$|^after$/.test(String(headers.key1))
        ? ""
        : `${status} ${JSON.stringify(headers)}`,
    ),
  );
  await plane.stopApiServer();
  await onBoth("the outage is known", async (system) => !(await sourceOf(system)).watching);
  for (const { files } of systems) assert.equal((await get(8888 + files.offset, "/ready")).status, 200);
  await plane.startApiServer();
  await edit("key1=value1", "key1=after");
  await onBoth("the edit is in effect", async (system) => {
    const answer = await answerOf(system, "other.com");
    return answer.headers.key1 === "after";
  });
  await onBoth("the source is watched", async (system) => (await sourceOf(system)).watching);
  for (const load of loads) await load.finish();
});

test("a Secret that rotates reaches the plugin that its template is in", async () => {
  const keyAuth = (await readFile(join(systems[0]!.files.dir, "chain.yaml"), "utf8"))
    .split(/^---$/m)
    .find((text) => text.includes("name: wasm-keyauth"))!;
  await plane.kubectl(["delete", "wasmplugin", "custom-response", "-n", "higress-system"]);
  await plane.kubectl(["apply", "-f", "-"], keyAuth.replace("global_auth: false", "global_auth: true"));
  const statusWith = async ({ files }: System, key: string) =>
    (await get(files.trafficPort, `/?x=1`, "other.com", undefined, { "x-api-key": key })).status;
  const rotate = (value: string) =>
    plane.kubectl(
      ["apply", "-f", "-"],
      JSON.stringify({
        ...{
          apiVersion: "v1",
          kind: "Secret",
          metadata: { name: "consumer-keys", namespace: "higress-system" },
        },
        stringData: { someone: value },
      }),
    );
  await onBoth(
    "the first key counts",
    async (system) => (await statusWith(system, "token-of-someone")) === 200,
  );
  await rotate("another-token");
  await onBoth("the new key counts", async (system) => (await statusWith(system, "another-token")) === 200);
  for (const system of systems) assert.equal(await statusWith(system, "token-of-someone"), 403);
  for (const { roles } of systems)
    assert.doesNotMatch(roles.stderr("core"), /token-of-someone|another-token/);
});

test("what is deleted is in effect nowhere", async () => {
  await plane.kubectl(["delete", "wasmplugins", "--all", "-n", "higress-system"]);
  await onBoth("requests reach the upstream untouched", async (system) => {
    const { status, body, headers } = await answerOf(system, "other.com");
    return status === 200 && body === "upstream /\n" && headers["x-transformed"] === undefined;
  });
});

test("up takes the same flags", async (t) => {
  const files = await layOutSeed("embedded");
  t.after(() => files.close());
  await applySeed(plane, files);
  const cluster = ["--source", "kubernetes", "--kubeconfig", plane.kubeconfig, "--ingress-class", ""];
  const up = startWasmline(["up", ...cluster, ...files.flags]);
  t.after(() => up.stop());
  await up.waitFor("stdout", /^ready .* 4 plugins in effect$/m);
  assert.equal((await get(files.trafficPort, "/", "foo.com")).headers.key2, "value2");
});
