import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { load } from "js-yaml";
import { type Kubernetes, runKubernetes } from "../peers/kubernetes.ts";
import {
  applyObjects,
  installCrds,
  systemNamespace as namespace,
  wasmPlugin,
  wasmPluginCrd,
} from "../peers/kubernetes-core.ts";
import { until } from "../peers/until.ts";

interface Vector {
  readonly name: string;
  readonly input: object;
  readonly outcome: "ok" | "disabled" | "error";
}

const file = (path: string) => readFile(fileURLToPath(new URL(`../../${path}`, import.meta.url)), "utf8");

/** Sends objects to the API server, which decides on each of them. Gives what it refused, a line each. */
async function refused(plane: Kubernetes, items: readonly object[]): Promise<readonly string[]> {
  const list = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const args = ["create", "--dry-run=server", "--validate=false", "-f", "-"];
  return plane.kubectl(args, list).then(
    () => [],
    (error: Error) => error.message.split("\n"),
  );
}

test("the CRD takes what conversion takes, and refuses what it refuses", async (t) => {
  const plane = await runKubernetes(t);
  await installCrds(plane);

  await t.test("what Higress' converter was run with", async () => {
    const vectors = JSON.parse(await file("test/vectors/conversion.json")) as readonly Vector[];
    const objectOf = ({ input }: Vector, index: number) => wasmPlugin(`vector-${index}`, input);
    const lines = await refused(plane, vectors.map(objectOf));
    const bad = vectors.flatMap(({ outcome }, index) => (outcome === "error" ? [`"vector-${index}"`] : []));
    assert.ok(bad.length > 10);
    const names = lines.map((line) => /"vector-\d+"/.exec(line)?.[0]);
    assert.deepEqual(names, bad);
    for (const line of lines)
      assert.match(
        line,
        /: spec\.matchRules: Invalid value: matchRules\[\d+\] has no domain, ingress or service: /,
      );
  });

  await t.test("the scenarios", async () => {
    for (const name of [
      "seed-chapter",
      "phases-and-priorities",
      "rules-domain-route-service",
      "fail-open-and-close",
    ]) {
      const documents = (await file(`test/scenarios/${name}/1-resources.yaml`))
        .split(/^---$/m)
        .map((text) => load(text));
      const plugins = (documents as { kind?: string; metadata: object }[])
        .filter((resource) => resource?.kind === "WasmPlugin")
        .map((resource) => ({ ...resource, metadata: { ...resource.metadata, namespace } }));
      assert.ok(plugins.length > 0, name);
      assert.deepEqual(await refused(plane, plugins), [], name);
    }
  });

  await t.test("everything that is wrong is named by its field", async () => {
    const wrong: readonly (readonly [object, RegExp])[] = [
      [{ phase: "AUTH" }, /spec\.phase: Unsupported value: "AUTH": supported values: .*"AUTHN"/],
      [
        { priority: 2 ** 31 },
        /spec\.priority: Invalid value: 2147483648: .*less than or equal to 2147483647/,
      ],
      [{ priority: "ten" }, /spec\.priority: Invalid value: "string": .*must be of type integer/],
      [{ failStrategy: "OPEN" }, /spec\.failStrategy: Unsupported value: "OPEN"/],
      [{ imagePullPolicy: "Never" }, /spec\.imagePullPolicy: Unsupported value: "Never"/],
      [{ defaultConfig: [] }, /spec\.defaultConfig: Invalid value: "array": .*must be of type object/],
      [
        { matchRules: [{ domain: "a.com" }] },
        /spec\.matchRules\[0\]\.domain: Invalid value: "string": .*array/,
      ],
      [
        { matchRules: [{ ingress: [1] }] },
        /spec\.matchRules\[0\]\.ingress\[0\]: Invalid value: "integer": .*string/,
      ],
      [
        { matchRules: [{ ingress: ["a"], routeType: "TCP" }] },
        /spec\.matchRules\[0\]\.routeType: Unsupported value: "TCP"/,
      ],
      [
        { vmConfig: { env: [{ valueFrom: "FILE" }] } },
        /spec\.vmConfig\.env\[0\]\.valueFrom: Unsupported value: "FILE"/,
      ],
      [
        { matchRules: [{ domain: ["a"] }, { domain: [] }] },
        /spec\.matchRules: Invalid value: matchRules\[1\] has no domain/,
      ],
    ];
    for (const [spec, message] of wrong) {
      const lines = await refused(plane, [wasmPlugin("wrong", { url: "oci://a/b", ...spec })]);
      assert.match(lines.join("\n"), message);
    }
  });

  await t.test("a rule that is off, and rules that pluginConfig switches off, need no match", async () => {
    const plugins = [
      wasmPlugin("off", { matchRules: [{ config: {}, configDisable: true }] }),
      wasmPlugin("own", { pluginConfig: {}, matchRules: [{ config: {} }] }),
      wasmPlugin("null", { priority: null }),
    ];
    assert.deepEqual(await refused(plane, plugins), []);
  });

  await t.test("configurations keep what they have, to the last field", async () => {
    const defaultConfig = { a: { b: [1, 2.5, null, { c: "" }] }, _rules_: [] };
    await applyObjects(plane, wasmPlugin("kept", { url: "oci://a/b", defaultConfig }));
    const text = await plane.kubectl(["get", "wasmplugin", "kept", "-n", namespace, "-o", "json"]);
    assert.deepEqual((JSON.parse(text) as { spec: object }).spec, { url: "oci://a/b", defaultConfig });
  });
});

test("objects of Higress' CRD live on under ours, the broken ones too", async (t) => {
  const plane = await runKubernetes(t);
  await installCrds(plane, "as-higress");
  const broken = wasmPlugin("broken", { url: "oci://a/b", matchRules: [{ config: { a: 1 } }] });
  await applyObjects(plane, broken, wasmPlugin("fine", { url: "oci://a/b" }));
  await plane.kubectl(["apply", "-f", "-"], await wasmPluginCrd());
  const statusOf = (status: object, ...more: readonly string[]) =>
    plane.kubectl(
      ["apply", "--server-side", "--subresource=status", "--field-manager=test", "-f", "-", ...more],
      JSON.stringify({ ...wasmPlugin("broken", {}), spec: undefined, status }),
    );
  const condition = {
    ...{ type: "Accepted", status: "False", reason: "RuleNoMatch", message: "", observedGeneration: 1 },
    lastTransitionTime: "2026-01-01T00:00:00Z",
  };
  // The API server takes a moment to follow its own CRDs.
  await until("the schema of the status is there", () =>
    statusOf({ conditions: [{ ...condition, status: "Perhaps" }] }, "--dry-run=server").then(
      () => false,
      (error: Error) => error.message.includes('Unsupported value: "Perhaps"'),
    ),
  );
  await statusOf({ conditions: [condition] });
  await plane.kubectl(["annotate", "wasmplugin", "broken", "-n", namespace, "note=1"]);
  await assert.rejects(
    plane.kubectl([
      "patch",
      "wasmplugin",
      "broken",
      "-n",
      namespace,
      "--type=merge",
      "-p",
      '{"spec":{"phase":"AUTHN"}}',
    ]),
    /spec\.matchRules: Invalid value: matchRules\[0\] has no domain/,
  );
});
