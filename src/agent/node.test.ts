import assert from "node:assert/strict";
import { test } from "node:test";
import { gatewayNode } from "./node.ts";

test("a gateway of Higress, unless it is told otherwise", () => {
  assert.deepEqual(gatewayNode({ ip: "10.0.0.7" }), {
    id: "router~10.0.0.7~gateway.higress-system~higress-system.svc.cluster.local",
    cluster: "gateway.higress-system",
    metadata: {
      CLUSTER_ID: "Kubernetes",
      LABELS: { higress: "higress-system-higress-gateway" },
      NAME: "gateway",
      NAMESPACE: "higress-system",
      PROXY_CONFIG: {},
    },
  });
});

test("a gateway with its own name, namespace, labels and version", () => {
  const node = gatewayNode({
    ip: "::1",
    name: "edge-0",
    namespace: "edge",
    labels: { app: "e" },
    istioVersion: "1.29.1",
  });
  assert.equal(node.id, "router~::1~edge-0.edge~edge.svc.cluster.local");
  assert.deepEqual(node.metadata, {
    CLUSTER_ID: "Kubernetes",
    ISTIO_VERSION: "1.29.1",
    LABELS: { app: "e" },
    NAME: "edge-0",
    NAMESPACE: "edge",
    PROXY_CONFIG: {},
  });
});

test("an id that is given names the namespace, unless that is given too", () => {
  const id = "router~10.1.2.3~gw-1.team~team.svc.cluster.local";
  assert.equal(gatewayNode({ id }).id, id);
  assert.equal(gatewayNode({ id }).metadata.NAMESPACE, "team");
  assert.equal(gatewayNode({ id, namespace: "other" }).metadata.NAMESPACE, "other");
  assert.equal(gatewayNode({ id: "edge" }).metadata.NAMESPACE, "higress-system");
});
