import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { kubeconfigThrough } from "../../test/peers/kubeconfig.ts";
import { type Kubernetes, runKubernetes } from "../../test/peers/kubernetes.ts";
import { startTcpProxy } from "../../test/peers/tcp-proxy.ts";
import { until } from "../../test/peers/until.ts";
import { silentLog } from "../log.ts";
import { connectKubernetes, type KubernetesClient } from "./client.ts";
import { electLeader, type Leadership, type LeaderTiming } from "./leader-election.ts";

const namespace = "default";
const timing: LeaderTiming = { leaseMs: 3000, renewMs: 2000, retryMs: 250 };

interface Candidate extends Leadership {
  readonly identity: string;
  /** Ends as a program does that is asked to. */
  stop(): Promise<void>;
  /** Cuts it off from the API server, as a network does. */
  cutOff(): void;
}

async function stand(
  t: TestContext,
  plane: Kubernetes,
  identity: string,
  name = "test",
  kubeconfig = plane.kubeconfig,
): Promise<Candidate> {
  const client = await connectKubernetes({ kubeconfig });
  const end = new AbortController();
  let isCut = false;
  const request: KubernetesClient["request"] = (...args) =>
    isCut ? Promise.reject(new Error("cut off")) : client.request(...args);
  const { isLeader, ended } = electLeader({
    client: { ...client, request },
    ...{ namespace, name, identity, timing, log: silentLog, signal: end.signal },
  });
  const stop = async () => {
    end.abort();
    await ended;
  };
  t.after(stop);
  return {
    ...{ identity, isLeader, ended, stop },
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

test("one leads at a time, whatever happens to it", async (t) => {
  const plane = await runKubernetes(t);

  await t.test("of three that stand at once, one leads", async (t) => {
    const candidates = await Promise.all(
      ["a", "b", "c"].map((identity) => stand(t, plane, identity, "three")),
    );
    const leader = await until("somebody leads", () => leaderOf(candidates)[0]);
    const first = await leaseOf(plane, "three");
    await until("it has renewed", async () => (await leaseOf(plane, "three")).renewTime !== first.renewTime);
    assert.deepEqual(leaderOf(candidates), [leader]);
    const { holderIdentity, leaseDurationSeconds, leaseTransitions } = first;
    assert.deepEqual([holderIdentity, leaseDurationSeconds, leaseTransitions], [leader.identity, 3, 0]);
  });

  await t.test(
    "a leader that ends gives the lead back, and another has it before the lease is over",
    async (t) => {
      const one = await stand(t, plane, "one", "ended");
      await until("one leads", () => one.isLeader.value);
      const two = await stand(t, plane, "two", "ended");
      const began = performance.now();
      await one.stop();
      assert.equal(one.isLeader.value, false);
      assert.match(String((await leaseOf(plane, "ended")).holderIdentity), /^(two)?$/);
      await until("two leads", () => two.isLeader.value);
      assert.ok(performance.now() - began < timing.leaseMs, "it did not wait for the lease");
      assert.equal((await leaseOf(plane, "ended")).leaseTransitions, 1);
    },
  );

  await t.test("a leader that is cut off stops leading before another begins", async (t) => {
    const one = await stand(t, plane, "one", "cut");
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", "cut");
    const order: string[] = [];
    one.isLeader.watch((leads) => order.push(`one ${leads}`));
    two.isLeader.watch((leads) => order.push(`two ${leads}`));
    one.cutOff();
    await until("two leads", () => two.isLeader.value);
    assert.deepEqual(order, ["one true", "two false", "one false", "two true"]);
  });

  await t.test("a leader whose connection stalls goes on over another one, and stays", async (t) => {
    const proxy = await startTcpProxy(t, Number(new URL(plane.url).port));
    const one = await stand(t, plane, "one", "stalled", await kubeconfigThrough(plane, proxy.port));
    await until("one leads", () => one.isLeader.value);
    const two = await stand(t, plane, "two", "stalled");
    const order: string[] = [];
    one.isLeader.watch((leads) => order.push(`one ${leads}`));
    two.isLeader.watch((leads) => order.push(`two ${leads}`));
    const { renewTime } = await leaseOf(plane, "stalled");
    proxy.stall();
    const later = new Date(Date.parse(String(renewTime)) + timing.leaseMs).toISOString();
    await until("it renews after the lease", async () => {
      return String((await leaseOf(plane, "stalled")).renewTime) > later;
    });
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
      const one = await stand(t, plane, "one", name);
      await until("one leads", () => one.isLeader.value);
      assert.ok(performance.now() - began >= timing.leaseMs, name);
      assert.equal((await leaseOf(plane, name)).leaseTransitions, 8);
    }
  });

  await t.test(
    "while the API server is away nobody leads for longer than a leader may, and then one does again",
    async (t) => {
      const candidates = await Promise.all(["a", "b"].map((identity) => stand(t, plane, identity, "away")));
      await until("somebody leads", () => leaderOf(candidates).length === 1);
      await plane.stopApiServer();
      await until("nobody leads", () => leaderOf(candidates).length === 0);
      await plane.startApiServer();
      await until("somebody leads again", () => leaderOf(candidates).length === 1);
    },
  );
});
