import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson, type JsonObject } from "@bufbuild/protobuf";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { Cluster, Endpoint } from "./cluster-config.ts";
import { compileCluster } from "./compile-cluster.ts";
import { createBalancer } from "./load-balancer.ts";

interface Host {
  readonly weight?: number;
  readonly priority?: number;
  readonly health?: string;
}

function clusterOf(hosts: readonly Host[], fields: JsonObject = {}): Cluster {
  const endpoints = hosts.map(({ weight = 1, priority = 0, health = "UNKNOWN" }, index) => ({
    priority,
    lb_endpoints: [
      {
        endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: index + 1 } } },
        health_status: health,
        load_balancing_weight: weight,
      },
    ],
  }));
  const message = { name: "c", type: "STATIC", load_assignment: { cluster_name: "c", endpoints }, ...fields };
  return compileCluster(fromJson(ClusterSchema, message));
}

/** Ports of the hosts that get requests, each one over before the next. */
function choices(cluster: Cluster, count: number, random = () => 0): number[] {
  const balancer = createBalancer(cluster, undefined, { random });
  return Array.from({ length: count }, () => balancer.choose(undefined)!.port);
}

/** A balancer that knows of requests that go on: those that were chosen and not ended. */
function busyBalancer(cluster: Cluster, random?: () => number) {
  const active = new Map<Endpoint, number>();
  const count = (endpoint: Endpoint) => active.get(endpoint) ?? 0;
  const balancer = createBalancer(cluster, undefined, { activeAt: count, ...(random && { random }) });
  return {
    choose() {
      const endpoint = balancer.choose(undefined)!;
      active.set(endpoint, count(endpoint) + 1);
      return endpoint;
    },
    end: (endpoint: Endpoint) => active.set(endpoint, count(endpoint) - 1),
  };
}

test("round robin goes round, by weight", () => {
  assert.deepEqual(choices(clusterOf([{}, {}, {}]), 6), [1, 2, 3, 1, 2, 3]);
  const weighted = choices(clusterOf([{ weight: 3 }, { weight: 1 }]), 8);
  assert.deepEqual(weighted.filter((port) => port === 1).length, 6);
  assert.deepEqual(weighted.slice(0, 4).filter((port) => port === 2).length, 1);
});

test("least request takes the less busy of two", () => {
  const cluster = clusterOf([{}, {}], { lb_policy: "LEAST_REQUEST" });
  let next = 0;
  const both = () => (next++ % 2 === 0 ? 0 : 0.99);
  const balancer = busyBalancer(cluster, both);
  const [first, second] = [balancer.choose(), balancer.choose()];
  assert.deepEqual([first.port, second.port], [1, 2]);
  balancer.end(second);
  assert.equal(balancer.choose().port, 2);
});

test("least request with weights prefers the heavier host, and spares the busy one", () => {
  const cluster = clusterOf([{ weight: 4 }, { weight: 1 }], { lb_policy: "LEAST_REQUEST" });
  assert.equal(choices(cluster, 10).filter((port) => port === 1).length, 8);
  const balancer = busyBalancer(cluster);
  const busy = Array.from({ length: 10 }, () => balancer.choose().port);
  assert.ok(busy.filter((port) => port === 2).length > 2, busy.join(" "));
});

test("a request that is tried again goes elsewhere, if there is elsewhere", () => {
  const cluster = clusterOf([{}, {}]);
  const balancer = createBalancer(cluster);
  const first = balancer.choose(undefined)!;
  const second = balancer.choose(new Set([first]))!;
  assert.notEqual(first, second);
  assert.ok(balancer.choose(new Set([first, second])));
});

test("no endpoint is chosen where there is none", () => {
  assert.equal(createBalancer(clusterOf([])).choose(undefined), undefined);
});

test("unhealthy hosts get nothing, until too few are left", () => {
  assert.deepEqual(choices(clusterOf([{}, {}, { health: "UNHEALTHY" }]), 4), [1, 2, 1, 2]);
  const panic = choices(clusterOf([{}, { health: "UNHEALTHY" }, { health: "UNHEALTHY" }]), 3);
  assert.deepEqual(panic, [1, 2, 3]);
  const calm = clusterOf([{}, { health: "UNHEALTHY" }, { health: "DRAINING" }], {
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
  });
  assert.deepEqual(choices(calm, 3), [1, 1, 1]);
});

test("the next priority is used where the first has nobody", () => {
  const hosts = [{ health: "UNHEALTHY" }, { priority: 1 }, { priority: 1 }];
  assert.deepEqual(choices(clusterOf(hosts), 2), [2, 3]);
});

test("a priority gets no more than its healthy hosts can take; the next has the rest", () => {
  const hosts = [{}, { health: "UNHEALTHY" }, { priority: 1 }];
  let next = 0;
  const cluster = clusterOf(hosts, { common_lb_config: { healthy_panic_threshold: { value: 0 } } });
  const balancer = createBalancer(cluster, undefined, { random: () => (next++ % 100) / 100 });
  const ports = Array.from({ length: 100 }, () => balancer.choose(undefined)!.port);
  // One of two is well: 50 percent, with Envoy's overprovisioning of 140. Two of the random numbers say where turns begin.
  const first = ports.filter((port) => port === 1).length;
  assert.ok(first >= 68 && first <= 72, `${first} of 100`);
});

test("degraded hosts get what healthy ones cannot take", () => {
  assert.deepEqual(
    new Set(choices(clusterOf([{}, { health: "DEGRADED" }, {}]), 20, Math.random)).has(1),
    true,
  );
  const only = choices(clusterOf([{ health: "DEGRADED" }, { health: "UNHEALTHY" }]), 4);
  assert.deepEqual(only, [1, 1, 1, 1]);
});

test("localities get shares by their weights, less with hosts that are not well", () => {
  const localities = [
    { weight: 1, ports: [1, 2] },
    { weight: 3, ports: [3] },
  ];
  const endpoints = localities.map(({ weight, ports }, index) => ({
    locality: { zone: `z${index}` },
    load_balancing_weight: weight,
    lb_endpoints: ports.map((port) => ({
      endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
    })),
  }));
  const cluster = compileCluster(
    fromJson(ClusterSchema, {
      name: "c",
      type: "STATIC",
      common_lb_config: { locality_weighted_lb_config: {} },
      load_assignment: { cluster_name: "c", endpoints },
    }),
  );
  const ports = choices(cluster, 40);
  assert.equal(ports.filter((port) => port === 3).length, 30);
  assert.equal(ports.filter((port) => port === 1).length, 5);
});

const detection = {
  outlier_detection: { consecutive_5xx: 3, base_ejection_time: "10s", max_ejection_percent: 50 },
};

test("a host that fails again and again is left out for a while, each time longer", () => {
  let now = 0;
  const cluster = clusterOf([{}, {}], {
    ...detection,
    common_lb_config: { healthy_panic_threshold: { value: 0 } },
  });
  const balancer = createBalancer(cluster, undefined, { now: () => now });
  const bad = cluster.endpoints.localities[0]!.endpoints[0]!;
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) balancer.report(bad, 500);
  };
  const ports = () => new Set(Array.from({ length: 4 }, () => balancer.choose(undefined)!.port));
  fail(2);
  balancer.report(bad, 200);
  fail(2);
  assert.deepEqual(ports(), new Set([1, 2]));
  fail(1);
  assert.deepEqual(ports(), new Set([2]));
  now = 9_999;
  assert.deepEqual(ports(), new Set([2]));
  now = 10_000;
  assert.deepEqual(ports(), new Set([1, 2]));
  fail(3);
  now = 29_999;
  assert.deepEqual(ports(), new Set([2]));
  now = 30_000;
  assert.deepEqual(ports(), new Set([1, 2]));
});

test("no response is a failure; what is no error of the server is none", () => {
  const cluster = clusterOf([{}, {}], detection);
  const balancer = createBalancer(cluster, undefined, { now: () => 0 });
  const [bad, fine] = cluster.endpoints.localities.map(({ endpoints }) => endpoints[0] as Endpoint);
  for (let i = 0; i < 3; i++) {
    balancer.report(bad!, undefined);
    balancer.report(fine!, 404);
  }
  assert.equal(balancer.hosts.get("127.0.0.1:1")?.ejections, 1);
  assert.equal(balancer.hosts.get("127.0.0.1:2")?.ejections, 0);
});

test("not more hosts are left out than the percentage, unless one may be in any case", () => {
  for (const [limits, expected] of ejectionLimits) assert.deepEqual(ejectionsUnder(limits), expected);
});

const ejectionLimits = [
  [{ max_ejection_percent: 10 }, [0, 0, 0]],
  [{ max_ejection_percent: 10, always_eject_one_host: true }, [1, 0, 0]],
  [{ max_ejection_percent: 70 }, [1, 1, 0]],
] as const;

function ejectionsUnder(limits: JsonObject): number[] {
  const cluster = clusterOf([{}, {}, {}], { outlier_detection: { consecutive_5xx: 1, ...limits } });
  const balancer = createBalancer(cluster, undefined, { now: () => 0 });
  for (const { endpoints } of cluster.endpoints.localities) balancer.report(endpoints[0]!, 500);
  return [...balancer.hosts.values()].map(({ ejections }) => ejections);
}

test("what is known about a host survives new endpoints", () => {
  const before = clusterOf([{}, {}], {
    outlier_detection: { consecutive_5xx: 1, always_eject_one_host: true },
  });
  const balancer = createBalancer(before, undefined, { now: () => 0 });
  balancer.report(before.endpoints.localities[0]!.endpoints[0]!, 500);
  const next = createBalancer(clusterOf([{}, {}, {}]), balancer, { now: () => 0 });
  const ports = new Set(Array.from({ length: 6 }, () => next.choose(undefined)!.port));
  assert.deepEqual(ports, new Set([2, 3]));
});
