import assert from "node:assert/strict";
import { test } from "node:test";
import { parseDocuments } from "../resource/parse.ts";
import { defaultConvertOptions } from "./convert-options.ts";
import { referencedSecrets } from "./referenced-secrets.ts";

const resourceOf = (text: string) => parseDocuments(text, "a.yaml").resources[0]!;

const pluginOf = (namespace: string) =>
  resourceOf(`
apiVersion: extensions.higress.io/v1alpha1
kind: WasmPlugin
metadata: {name: a, namespace: ${namespace}}
spec:
  url: oci://registry/a
  imagePullSecret: elsewhere/pull
  defaultConfig: {token: "\${secret.keys.api}", other: "\${secret.apps/more.a.b} \${env.x.y}"}
`);

test("a WasmPlugin's are its pull secret in its own namespace and what its templates name", () => {
  assert.deepEqual(referencedSecrets(pluginOf("higress-system"), defaultConvertOptions), [
    { namespace: "higress-system", name: "pull" },
    { namespace: "higress-system", name: "keys" },
    { namespace: "apps", name: "more" },
  ]);
});

test("a WasmPlugin that takes no effect has none", () => {
  assert.deepEqual(referencedSecrets(pluginOf("apps"), defaultConvertOptions), []);
});

test("an Ingress' are its certificates, if it is of our class", () => {
  const ingress = resourceOf(`
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: a, namespace: apps}
spec:
  ingressClassName: higress
  tls: [{hosts: [a.com], secretName: a-com}, {hosts: [b.com]}]
`);
  const secrets = (ingressClass: string) =>
    referencedSecrets(ingress, { ...defaultConvertOptions, ingressClass });
  assert.deepEqual(secrets("higress"), [{ namespace: "apps", name: "a-com" }]);
  assert.deepEqual(secrets("nginx"), []);
});
