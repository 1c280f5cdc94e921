import assert from "node:assert/strict";
import { test } from "node:test";
import { runKubernetes } from "./kubernetes.ts";

const configMap = (value: string) =>
  JSON.stringify({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "a" }, data: { value } });

test("the control plane takes resources, keeps them while its API server is away, and knows its accounts", async (t) => {
  const plane = await runKubernetes(t);
  await plane.kubectl(["apply", "-f", "-"], configMap("first"));
  await plane.stopApiServer();
  await plane.startApiServer();
  await plane.compact();
  assert.equal(await plane.kubectl(["get", "configmap", "a", "-o", "jsonpath={.data.value}"]), "first");
  const kubeconfig = await plane.kubeconfigOf(await plane.token("apps", "reader"));
  await assert.rejects(
    plane.kubectl(["get", "configmaps", "--kubeconfig", kubeconfig]),
    /system:serviceaccount:apps:reader" cannot list resource "configmaps"/,
  );
});

test("with controllers a namespace ends with what is in it", async (t) => {
  const plane = await runKubernetes(t, { controllers: true });
  await plane.kubectl(["create", "namespace", "apps"]);
  await plane.kubectl(["apply", "-n", "apps", "-f", "-"], configMap("gone"));
  await plane.kubectl(["delete", "namespace", "apps", "--timeout=60s"]);
  await assert.rejects(plane.kubectl(["get", "configmap", "a", "-n", "apps"]), /NotFound/);
});
