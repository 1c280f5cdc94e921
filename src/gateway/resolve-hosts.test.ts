import assert from "node:assert/strict";
import { test } from "node:test";
import { fromJson } from "@bufbuild/protobuf";
import { until } from "../../test/peers/until.ts";
import { ClusterSchema } from "../gen/envoy/config/cluster/v3/cluster_pb.ts";
import type { Cluster } from "./cluster-config.ts";
import { compileCluster } from "./compile-cluster.ts";
import { type ResolveName, resolveHosts } from "./resolve-hosts.ts";

function follow(type: string, resolve?: ResolveName) {
  const lb_endpoints = ["name.test", "127.0.0.9"].map((address) => ({
    endpoint: { address: { socket_address: { address: resolve ? address : "localhost", port_value: 80 } } },
  }));
  const message = fromJson(ClusterSchema, {
    name: "dns",
    type,
    dns_refresh_rate: "0.001s",
    load_assignment: { cluster_name: "dns", endpoints: [{ lb_endpoints }] },
  });
  const seen: string[][] = [];
  const stop = new AbortController();
  const onChange = ({ endpoints }: Cluster) =>
    seen.push(endpoints.localities.flatMap((locality) => locality.endpoints.map(({ address }) => address)));
  const cluster = compileCluster(message);
  resolveHosts({ cluster, signal: stop.signal, onChange, ...(resolve ? { resolve } : {}) });
  return { seen, stop };
}

test("every address of a name is an endpoint; a change is told, a failure changes nothing", async () => {
  const answers = [["10.0.0.1", "10.0.0.2"], undefined, ["10.0.0.2"]];
  let asked = 0;
  const { seen, stop } = follow("STRICT_DNS", async () => {
    const answer = answers[Math.min(asked++, answers.length - 1)];
    if (!answer) throw new Error("no answer");
    return answer.map((address) => ({ address }));
  });
  await until("both answers", () => asked > 4);
  stop.abort();
  assert.deepEqual(seen, [
    ["10.0.0.1", "10.0.0.2", "127.0.0.9"],
    ["10.0.0.2", "127.0.0.9"],
  ]);
});

test("LOGICAL_DNS takes the first address of a name", async () => {
  const { seen, stop } = follow("LOGICAL_DNS", async () => [
    { address: "10.0.0.1" },
    { address: "10.0.0.2" },
  ]);
  await until("the answer", () => seen.length > 0);
  stop.abort();
  assert.deepEqual(seen, [["10.0.0.1", "127.0.0.9"]]);
});

test("names of this machine are resolved", async () => {
  const { seen, stop } = follow("STRICT_DNS");
  await until("the answer", () => seen.length > 0);
  stop.abort();
  assert.match(seen[0]![0]!, /^(127\.0\.0\.1|::1)$/);
});
