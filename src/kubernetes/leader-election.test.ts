import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { kubeconfigThrough } from "../../test/peers/kubeconfig.ts";
import { type Kubernetes, runKubernetes } from "../../test/peers/kubernetes.ts";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { type ConnectOptions, connectKubernetes, type KubernetesClient } from "./client.ts";
import { electLeader, type Leadership, type LeaderTiming } from "./leader-election.ts";

const namespace = "default";
const timing: LeaderTiming = { leaseMs: 3000, renewMs: 2000, retryMs: 250 };

/** Of one that reads the Lease once in half a minute: what it knows within a test it has heard. */
const hearsay: LeaderTiming = { leaseMs: 90_000, renewMs: 60_000, retryMs: 30_000 };

interface Candidate extends Leadership {
  readonly identity: string;
  /** Ends as a program does that is asked to. */
  stop(): Promise<void>;
  /** Cuts it off from the API server, as a network does. */
  cutOff(): void;
  /** What it has asked the API server so far. */
  readonly asked: readonly Asked[];
}

type Asked = "read" | "create" | "renew" | "list" | "watch";

interface StandOptions extends Partial<ConnectOptions> {
  readonly name?: string;
  readonly times?: Partial<LeaderTiming>;
}

async function stand(
  t: TestContext,
  plane: Kubernetes,
  identity: string,
  { name = "test", times, ...options }: StandOptions = {},
): Promise<Candidate> {
  const client = await connectKubernetes({ kubeconfig: plane.kubeconfig, ...options });
  const end = new AbortController();
  const asked: Asked[] = [];
  let isCut = false;
  const request: KubernetesClient["request"] = (method, path, options) => {
    if (isCut) return Promise.reject(new Error("cut off"));
    if (method === "GET") asked.push(path.endsWith("/leases") ? "list" : "read");
    else asked.push(method === "PUT" ? "renew" : "create");
    return client.request(method, path, options);
  };
  const watch: KubernetesClient["watch"] = (...args) => {
    asked.push("watch");
    return client.watch(...args);
  };
  const { isLeader, ended } = electLeader({
    client: { ...client, request, watch },
    ...{ namespace, name, identity, timing: { ...timing, ...times }, log: silentLog, signal: end.signal },
  });
  const stop = async () => {
    end.abort();
    await ended;
  };
  t.after(stop);
  return {
    ...{ identity, isLeader, ended, stop, asked },
    cutOff() {
      isCut = true;
    },
  };
}

const leaderOf = (candidates: readonly Candidate[]) => candidates.filter(({ isLeader }) => isLeader.value);

async function leaseOf(plane: Kubernetes, name = "test") {
  const text = await plane.kubectl(["get", "lease", name, "-n", namespace, "-o", "json"]);
  return (JSON.parse(text) as { spec: Record<string, unknown> }).spec;
}

/** Until the Lease has been renewed so many milliseconds after a time that it said. */
async function untilRenewed(plane: Kubernetes, name: string, since: string, ms: number): Promise<void> {
  const later = new Date(Date.parse(since) + ms).toISOString();
  await until("it is renewed", async () => String((await leaseOf(plane, name)).renewTime) > later);
}

/** A kubeconfig of an account of its own that may do so much to the Lease of its name. */
async function kubeconfigWith(plane: Kubernetes, name: string, verbs: readonly string[]): Promise<string> {
  const token = await plane.token(namespace, name);
  await plane.kubectl([
    ...["create", "role", name, "-n", namespace, "--resource=leases.coordination.k8s.io"],
    ...[`--verb=${verbs.join(",")}`, `--resource-name=${name}`],
  ]);
  await plane.kubectl([
    ...["create", "rolebinding", name, "-n", namespace],
    ...[`--role=${name}`, `--serviceaccount=${namespace}:${name}`],
  ]);
  return plane.kubeconfigOf(token);
}

test("one leads at a time, whatever happens to it", async (t) => {
  const plane = await runKubernetes(t);

  await t.test("of three that stand at once, one leads", async (t) => {
    const candidates = await Promise.all(
      ["a", "b", "c"].map((identity) => stand(t, plane, identity, { name: "three" })),
    );
    const leader = await until("somebody leads", () => leaderOf(candidates)[0]);
    const first = await leaseOf(plane, "three");
    await until("it has renewed", async () => (await leaseOf(plane, "three")).renewTime !== first.renewTime);
    assert.deepEqual(leaderOf(candidates), [leader]);
    const { holderIdentity, leaseDurationSeconds, leaseTransitions } = first;
    assert.deepEqual([holderIdentity, leaseDurationSeconds, leaseTransitions], [leader.identity, 3, 0]);
  });

  await t.test("a leader that ends gives the lead back, and another one hears of it", async (t) => {
    const one = await stand(t, plane, "one", { name: "ended" });
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", { name: "ended", times: hearsay });
    await until("two watches", () => two.asked.includes("watch"));
    await one.stop();
    assert.equal(one.isLeader.value, false);
    await until("two leads", () => two.isLeader.value);
    assert.deepEqual(two.asked, ["read", "list", "watch", "read", "renew"]);
    assert.equal((await leaseOf(plane, "ended")).leaseTransitions, 1);
  });

  await t.test("who waits hears of renewals, and looks when the last one's lease is over", async (t) => {
    const one = await stand(t, plane, "one", { name: "heard" });
    await until("one leads", () => one.isLeader.value);
    const times = { leaseMs: 5000, renewMs: 4500, retryMs: 4000 };
    const two = await stand(t, plane, "two", { name: "heard", times });
    const { renewTime } = await leaseOf(plane, "heard");
    await untilRenewed(plane, "heard", String(renewTime), times.leaseMs);
    one.cutOff();
    await until("two leads", () => two.isLeader.value);
    assert.deepEqual(two.asked, ["read", "list", "watch", "read", "renew"]);
  });

  await t.test("a Lease that is deleted is made anew", async (t) => {
    const one = await stand(t, plane, "one", { name: "deleted" });
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", { name: "deleted", times: hearsay });
    await until("two watches", () => two.asked.includes("watch"));
    await plane.kubectl(["delete", "lease", "deleted", "-n", namespace]);
    await until("two leads, and one does not", () => two.isLeader.value && !one.isLeader.value);
    assert.deepEqual(two.asked, ["read", "list", "watch", "read", "create"]);
  });

  await t.test("a watch that stalls is not believed: the Lease is read", async (t) => {
    const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
    const one = await stand(t, plane, "one", { name: "deaf" });
    await until("one leads", () => one.isLeader.value);
    const kubeconfig = await kubeconfigThrough(plane, proxy.port);
    // Pings would find out that the connection is dead, and watch over another one.
    const two = await stand(t, plane, "two", { name: "deaf", kubeconfig, pingMs: 60_000 });
    await until("two watches", () => two.asked.includes("watch"));
    const { renewTime } = await leaseOf(plane, "deaf");
    proxy.stall();
    await untilRenewed(plane, "deaf", String(renewTime), timing.leaseMs);
    assert.deepEqual(leaderOf([one, two]), [one]);
    await one.stop();
    await until("two leads", () => two.isLeader.value);
    assert.equal(two.asked.filter((asked) => asked === "watch").length, 1);
  });

  await t.test("a right to watch this one Lease is enough, and without it the Lease is read", async (t) => {
    for (const [name, verbs] of [
      ["watched", ["get", "update", "list", "watch"]],
      ["unwatched", ["get", "update"]],
    ] as const) {
      const one = await stand(t, plane, "one", { name });
      await until("one leads", () => one.isLeader.value);
      const kubeconfig = await kubeconfigWith(plane, name, verbs);
      const mayWatch = name === "watched";
      const two = await stand(t, plane, "two", { name, kubeconfig, times: mayWatch ? hearsay : {} });
      await until("two has asked", () => two.asked.includes(mayWatch ? "watch" : "list"));
      await one.stop();
      await until("two leads", () => two.isLeader.value);
      assert.equal(two.asked.includes("watch"), mayWatch);
    }
  });

  await t.test("a leader that is cut off stops leading before another begins", async (t) => {
    const one = await stand(t, plane, "one", { name: "cut" });
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", { name: "cut" });
    const order: string[] = [];
    one.isLeader.watch((leads) => order.push(`one ${leads}`));
    two.isLeader.watch((leads) => order.push(`two ${leads}`));
    one.cutOff();
    await until("two leads", () => two.isLeader.value);
    assert.deepEqual(order, ["one true", "two false", "one false", "two true"]);
  });

  await t.test("a leader whose connection stalls goes on over another one, and stays", async (t) => {
    const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
    const one = await stand(t, plane, "one", {
      name: "stalled",
      kubeconfig: await kubeconfigThrough(plane, proxy.port),
    });
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", { name: "stalled" });
    const order: string[] = [];
    one.isLeader.watch((leads) => order.push(`one ${leads}`));
    two.isLeader.watch((leads) => order.push(`two ${leads}`));
    const { renewTime } = await leaseOf(plane, "stalled");
    proxy.stall();
    await untilRenewed(plane, "stalled", String(renewTime), timing.leaseMs);
    assert.deepEqual(order, ["one true", "two false"]);
  });

  await t.test("clocks may differ: a Lease counts from when it was seen, whatever it says", async (t) => {
    const hours = 3_600_000;
    const time = (offset: number) => new Date(Date.now() + offset).toISOString().replace("Z", "000Z");
    for (const [name, offset] of [
      ["behind", -5 * hours],
      ["ahead", 5 * hours],
    ] as const) {
      const spec = {
        ...{ holderIdentity: "stranger", leaseDurationSeconds: 3, leaseTransitions: 7 },
        ...{ acquireTime: time(offset), renewTime: time(offset) },
      };
      const lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata: { name }, spec };
      await plane.kubectl(["apply", "-n", namespace, "-f", "-"], JSON.stringify(lease));
      const began = performance.now();
      const one = await stand(t, plane, "one", { name });
      await until("one leads", () => one.isLeader.value);
      assert.ok(performance.now() - began >= timing.leaseMs, name);
      assert.equal((await leaseOf(plane, name)).leaseTransitions, 8);
    }
  });

  await t.test(
    "while the API server is away nobody leads for longer than a leader may, and then one does again",
    async (t) => {
      const candidates = await Promise.all(
        ["a", "b"].map((identity) => stand(t, plane, identity, { name: "away" })),
      );
      await until("somebody leads", () => leaderOf(candidates).length === 1);
      await plane.stopApiServer();
      await until("nobody leads", () => leaderOf(candidates).length === 0);
      await plane.startApiServer();
      await until("somebody leads again", () => leaderOf(candidates).length === 1);
    },
  );
});
