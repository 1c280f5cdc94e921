import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { type Kubernetes, runKubernetes } from "../../test/peers/kubernetes.ts";
import { until } from "../../test/peers/until.ts";
import { connectKubernetes } from "../kubernetes/client.ts";
import { formatDiagnostic } from "./diagnostic.ts";
import { type KubernetesSource, type KubernetesSourceOptions, watchKubernetes } from "./kubernetes-source.ts";
import type { SourceState } from "./source-state.ts";
import { type Resource, refKey, refOf } from "./types.ts";

const crds = fileURLToPath(new URL("../../api/crds", import.meta.url));

const plugin = (name: string, more: object = {}, namespace = "higress-system") => ({
  apiVersion: "extensions.higress.io/v1alpha1",
  kind: "WasmPlugin",
  metadata: { name, namespace },
  spec: { url: "oci://127.0.0.1:5080/plugins/a:1", phase: "AUTHN", priority: 1, ...more },
});

const ingress = (name: string, namespace: string, secretName?: string, ingressClassName = "higress") => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "Ingress",
  metadata: { name, namespace },
  spec: {
    ingressClassName,
    ...(secretName && { tls: [{ hosts: [`${name}.com`], secretName }] }),
    defaultBackend: { service: { name: "web", port: { number: 80 } } },
  },
});

const service = (name: string, namespace: string) => ({
  ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace } },
  spec: { ports: [{ port: 80 }] },
});

const endpointSlice = (name: string, namespace: string) => ({
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.0.0.1"] }],
  ports: [{ port: 80, name: "", protocol: "TCP" }],
});

const secret = (name: string, namespace: string, value: string) => ({
  ...{ apiVersion: "v1", kind: "Secret", metadata: { name, namespace } },
  stringData: { value },
});

/** As conversion does, for class `higress` and no templates. */
function secretsOf(resource: Resource) {
  const { namespace } = resource.metadata;
  const names =
    resource.kind === "Ingress" && resource.spec.ingressClassName === "higress"
      ? (resource.spec.tls ?? []).map(({ secretName }) => secretName)
      : resource.kind === "WasmPlugin"
        ? [resource.spec.imagePullSecret]
        : [];
  return names.flatMap((name) => (name ? [{ namespace, name }] : []));
}

async function apply(plane: Kubernetes, ...objects: readonly object[]): Promise<void> {
  const list = { apiVersion: "v1", kind: "List", items: objects };
  await plane.kubectl(["apply", "-f", "-"], JSON.stringify(list));
}

async function watch(
  t: TestContext,
  kubeconfig: string,
  options: Partial<KubernetesSourceOptions> = {},
): Promise<KubernetesSource> {
  const ending = new AbortController();
  t.after(() => ending.abort());
  const client = await connectKubernetes({ kubeconfig });
  return watchKubernetes({ client, secretsOf, signal: ending.signal, ...options });
}

/** The resources of a state, without what a cluster has of itself, as `kind/namespace/name`. */
function namesIn(state: SourceState | undefined): string[] {
  const resources: readonly Resource[] = Object.values(state?.set ?? {}).flat();
  return resources
    .map((resource) => refKey(refOf(resource)))
    .filter((key) => !/\/default\/kubernetes$/.test(key))
    .sort();
}

/** Waits for a state that passes, and shows what there is if none comes. */
function becomes(
  source: KubernetesSource,
  what: string,
  passes: (state: SourceState) => unknown,
): Promise<SourceState> {
  const look = (): SourceState | undefined =>
    source.value && passes(source.value) ? source.value : undefined;
  return until<SourceState | undefined>(what, look).catch((error) => {
    throw new Error(JSON.stringify([namesIn(source.value), source.status()], null, 1), { cause: error });
  }) as Promise<SourceState>;
}

const find = <T extends Resource>(list: readonly T[], name: string) =>
  list.find(({ metadata }) => metadata.name === name);

const secretValue = (state: SourceState, name: string) =>
  Buffer.from(find(state.set.secrets, name)?.data.value ?? []).toString();

test("a cluster as a source", async (t) => {
  const plane = await runKubernetes(t, { controllers: true });
  const early = await watch(t, plane.kubeconfig);

  await t.test("without the CRD everything else is read, and it is said what is missing", async () => {
    const state = await becomes(early, "the rest is read", () => true);
    assert.deepEqual(namesIn(state), []);
    const [plugins] = early.status().collections;
    assert.equal(plugins?.resource, "wasmplugins.extensions.higress.io");
    assert.match(plugins?.failure ?? "", /no WasmPlugin takes effect until its CRD is installed/);
    assert.deepEqual([early.status().synced, early.status().watching], [true, false]);
  });

  await t.test("a CRD that comes later is found", async () => {
    await plane.kubectl(["apply", "-f", crds]);
    await plane.kubectl(["create", "namespace", "higress-system"]);
    await plane.kubectl(["create", "namespace", "apps"]);
    await plane.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"]);
    await apply(plane, plugin("a"), plugin("b"));
    await becomes(early, "the plugins are there", ({ set }) => set.wasmPlugins.length === 2);
    await until("all is watched", () => early.status().watching);
  });

  await t.test("the first state is whole, and has those Secrets only that something refers to", async (t) => {
    await apply(
      plane,
      ingress("one", "apps", "one-tls"),
      service("web", "apps"),
      endpointSlice("web", "apps"),
    );
    await apply(plane, secret("one-tls", "apps", "1"), secret("private", "apps", "never"));
    const states: SourceState[] = [];
    const source = await watch(t, plane.kubeconfig);
    source.watch((state) => states.push(state));
    const names = [
      ...["EndpointSlice/apps/web", "Ingress/apps/one", "Secret/apps/one-tls", "Service/apps/web"],
      ...["WasmPlugin/higress-system/a", "WasmPlugin/higress-system/b"],
    ];
    await becomes(source, "there is a state", () => true);
    assert.deepEqual(namesIn(states[0]), names);
    assert.deepEqual(states[0]?.diagnostics, []);
    const { server } = find(states[0]!.set.wasmPlugins, "a")!.metadata;
    assert.equal(server?.generation, 1);
    assert.match(`${server?.uid} ${server?.creationTimestamp}`, /^[-\da-f]{36} 20.*Z$/);
  });

  await t.test("an edit is one new object; a change of its status is none", async (t) => {
    const source = await watch(t, plane.kubeconfig);
    const before = await becomes(source, "there is a state", () => true);
    await plane.kubectl(
      [
        "patch",
        "wasmplugin",
        "a",
        "-n",
        "higress-system",
        "--subresource=status",
        "--type=merge",
        "-p",
      ].concat(JSON.stringify({ status: { observedGeneration: 1 } })),
    );
    await apply(plane, plugin("b", { priority: 7 }));
    const after = await becomes(source, "b is edited", ({ set }) =>
      set.wasmPlugins.some(({ spec }) => spec.priority === 7),
    );
    assert.equal(find(after.set.wasmPlugins, "a"), find(before.set.wasmPlugins, "a"));
    assert.equal(after.set.ingresses, before.set.ingresses);
    assert.equal(after.set.secrets, before.set.secrets);
    await plane.kubectl(["delete", "wasmplugin", "b", "-n", "higress-system"]);
    await becomes(source, "b is gone", ({ set }) => set.wasmPlugins.length === 1);
  });

  await t.test("a Secret that rotates, goes and comes back", async (t) => {
    const source = await watch(t, plane.kubeconfig);
    await becomes(source, "it is read", (state) => secretValue(state, "one-tls") === "1");
    await apply(plane, secret("one-tls", "apps", "2"));
    await becomes(source, "it has rotated", (state) => secretValue(state, "one-tls") === "2");
    await plane.kubectl(["delete", "secret", "one-tls", "-n", "apps"]);
    await becomes(source, "it is gone", ({ set }) => set.secrets.length === 0);
    await apply(plane, secret("one-tls", "apps", "3"));
    await becomes(source, "it is back", (state) => secretValue(state, "one-tls") === "3");
  });

  await t.test(
    "what begins to refer to a Secret appears with it, and one no longer referred to is left",
    async (t) => {
      const source = await watch(t, plane.kubeconfig);
      await becomes(source, "there is a state", () => true);
      await apply(plane, secret("two-tls", "apps", "2"));
      const partial: string[] = [];
      source.watch(({ set }) => {
        const refers = find(set.ingresses, "one")?.spec.tls?.[0]?.secretName;
        if (refers && !find(set.secrets, refers)) partial.push(refers);
      });
      await apply(plane, ingress("one", "apps", "two-tls"));
      const state = await becomes(source, "it is switched", ({ set }) => find(set.secrets, "two-tls"));
      assert.deepEqual([partial, state.set.secrets.map(({ metadata }) => metadata.name)], [[], ["two-tls"]]);
      await apply(plane, ingress("one", "apps", "missing"));
      await becomes(source, "a missing one is no error", ({ set }) => set.secrets.length === 0);
      const other = await watch(t, plane.kubeconfig);
      await becomes(other, "a missing one keeps nobody waiting", ({ set }) => find(set.ingresses, "one"));
      await apply(plane, ingress("one", "apps", "one-tls", "nginx"));
      await becomes(
        source,
        "Secrets of other classes are not asked for",
        ({ set }) =>
          find(set.ingresses, "one")?.spec.ingressClassName === "nginx" && set.secrets.length === 0,
      );
    },
  );

  await t.test(
    "what is edited while the API server is away is there afterwards; until then the last state stays",
    async (t) => {
      const source = await watch(t, plane.kubeconfig);
      await apply(plane, ingress("one", "apps", "one-tls"));
      const before = await becomes(source, "there is a state", ({ set }) => set.secrets.length === 1);
      await until("all is watched", () => source.status().watching);
      await plane.stopApiServer();
      await until("the outage is known", () => source.status().collections.every(({ failure }) => failure));
      assert.equal(source.value, before);
      assert.deepEqual([source.status().synced, source.status().watching], [true, false]);
      await plane.startApiServer();
      await apply(plane, plugin("a", { priority: 9 }), secret("one-tls", "apps", "4"));
      const after = await becomes(
        source,
        "the edits are there",
        (state) =>
          secretValue(state, "one-tls") === "4" && find(state.set.wasmPlugins, "a")?.spec.priority === 9,
      );
      assert.equal(find(after.set.services, "web"), find(before.set.services, "web"));
      await until("all is watched again", () => source.status().watching);
    },
  );

  await t.test("a watched namespace hides what is in others, and not the system's plugins", async (t) => {
    await plane.kubectl(["create", "namespace", "others"]);
    await apply(plane, ingress("other", "others"), plugin("stray", {}, "apps"), plugin("far", {}, "others"));
    const kubeconfig = await plane.kubeconfigOf(await plane.token("higress-system", "core"));
    const grant = async (name: string, namespace: string, ...what: readonly string[]) => {
      await plane.kubectl(["create", "role", name, "-n", namespace, "--verb=list,watch", ...what]);
      const subject = ["--serviceaccount=higress-system:core"];
      await plane.kubectl(["create", "rolebinding", name, "-n", namespace, `--role=${name}`, ...subject]);
    };
    await grant("core", "higress-system", "--resource=wasmplugins");
    await grant("core", "apps", "--resource=wasmplugins,ingresses,services,endpointslices");
    // Of Secrets, the one that is referred to is enough: no other is asked for.
    await grant("certificate", "apps", "--resource=secrets", "--resource-name=one-tls");
    const source = await watch(t, kubeconfig, { watchNamespace: "apps" });
    // The API server takes a moment to know of rights.
    const state = await becomes(source, "the Secret is there", ({ set }) => find(set.secrets, "one-tls"));
    assert.deepEqual(namesIn(state), [
      ...["EndpointSlice/apps/web", "Ingress/apps/one", "Secret/apps/one-tls", "Service/apps/web"],
      ...["WasmPlugin/apps/stray", "WasmPlugin/higress-system/a"],
    ]);
    await until("everything is watched", () => source.status().watching);

    // One that may not be read: its user hears why, and the alert on what is out of date stays silent.
    await apply(plane, ingress("two", "apps", "two-tls"));
    const refused = await becomes(source, "it is refused", ({ set }) => find(set.secrets, "two-tls"));
    assert.match(
      find(refused.set.secrets, "two-tls")!.unreadable!,
      /^cannot list \/api\/v1\/namespaces\/apps\/secrets: .*missing: a Role in namespace apps .*"secrets"/,
    );
    assert.equal(source.status().watching, true);
    await grant("another", "apps", "--resource=secrets", "--resource-name=two-tls");
    const isRead = ({ set }: SourceState) => find(set.secrets, "two-tls")?.unreadable === undefined;
    await becomes(source, "it is read", isRead);
    await plane.kubectl(["delete", "ingress", "two", "-n", "apps"]);
  });

  await t.test("a namespace that is deleted takes what was in it along", async (t) => {
    const source = await watch(t, plane.kubeconfig);
    await becomes(source, "there is a state", ({ set }) => find(set.secrets, "one-tls"));
    await plane.kubectl(["delete", "namespace", "apps", "--timeout=60s"]);
    const state = await becomes(
      source,
      "it is gone",
      (state) => !namesIn(state).some((key) => /\/apps\//.test(key)),
    );
    assert.deepEqual(namesIn(state), [
      "Ingress/others/other",
      "WasmPlugin/higress-system/a",
      "WasmPlugin/others/far",
    ]);
  });

  await t.test(
    "a broken object keeps its last good version, and the remark names the object and the field",
    async () => {
      await plane.kubectl(["delete", "crd", "wasmplugins.extensions.higress.io"]);
      await until("the CRD is gone", () => early.status().collections[0]?.failure !== undefined);
      await plane.kubectl(["apply", "-f", "-"], JSON.stringify(looseDefinition));
      await plane.kubectl(["wait", "--for=condition=Established", "crd", "--all", "--timeout=20s"]);
      await apply(plane, plugin("a", { priority: 3 }));
      await becomes(early, "it is there", ({ set }) => find(set.wasmPlugins, "a")?.spec.priority === 3);
      await apply(plane, plugin("a", { priority: "soon", matchRules: [{ domain: "a.com" }] }));
      const state = await becomes(early, "it is broken", ({ diagnostics }) => diagnostics.length > 0);
      assert.equal(find(state.set.wasmPlugins, "a")?.spec.priority, 3);
      assert.deepEqual(state.diagnostics.map(formatDiagnostic), [
        'error INVALID_VALUE: expected a list, found the string "a.com" (WasmPlugin higress-system/a spec.matchRules[0].domain)',
        'error INVALID_VALUE: expected a whole number from -2147483648 to 2147483647, found the string "soon" (WasmPlugin higress-system/a spec.priority)',
        "warning LAST_GOOD_KEPT: the version before this error stays in effect (WasmPlugin higress-system/a)\n  hint: correct the error, or delete the resource",
      ]);
      await apply(plane, plugin("a", { priority: 4 }));
      await becomes(early, "it is mended", ({ diagnostics }) => diagnostics.length === 0);
    },
  );
});

/** A schema that lets everything pass. */
const looseDefinition = {
  apiVersion: "apiextensions.k8s.io/v1",
  kind: "CustomResourceDefinition",
  metadata: { name: "wasmplugins.extensions.higress.io" },
  spec: {
    group: "extensions.higress.io",
    scope: "Namespaced",
    names: { plural: "wasmplugins", singular: "wasmplugin", kind: "WasmPlugin", listKind: "WasmPluginList" },
    versions: [
      {
        ...{ name: "v1alpha1", served: true, storage: true },
        schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
      },
    ],
  },
};
