import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { FailStrategy, PluginPhase, WasmPluginSchema } from "../gen/istio/extensions/v1alpha1/wasm_pb.ts";
import { GatewaySchema } from "../gen/istio/networking/v1alpha3/gateway_pb.ts";
import { ServiceEntrySchema } from "../gen/istio/networking/v1alpha3/service_entry_pb.ts";
import { VirtualServiceSchema } from "../gen/istio/networking/v1alpha3/virtual_service_pb.ts";
import { SecretSchema } from "../gen/k8s/io/api/core/v1/secret_pb.ts";
import { emptyIstioConfigSet, type IstioConfig, type IstioConfigSet } from "../istio/config.ts";
import { resourceJson } from "../xds/envoy-json.ts";
import { ownAgent } from "../xds/own-agent.ts";
import { diffTypes, type Snapshot } from "../xds/snapshot.ts";
import { pushOrder, typeUrls } from "../xds/type-urls.ts";
import { buildSnapshot, createSnapshotBuilder, defaultBuildOptions } from "./build-snapshot.ts";
import { type ProxyNode, proxyOf } from "./proxy.ts";

const namespace = "higress-system";
const proxy: ProxyNode = { namespace, labels: {}, secrets: "all", chain: "listener" };

function makePlugin(
  name: string,
  spec: MessageInitShape<typeof WasmPluginSchema> = {},
): IstioConfig<"WasmPlugin"> {
  const url = "oci://a/b:1";
  return {
    kind: "WasmPlugin",
    namespace,
    name,
    version: "v",
    spec: create(WasmPluginSchema, { url, ...spec }),
  };
}

function makeSecret(name: string, text: string): IstioConfig<"Secret"> {
  const spec = create(SecretSchema, { data: { ".dockerconfigjson": Buffer.from(text) } });
  return { kind: "Secret", namespace, name, spec };
}

const port = { number: 80, protocol: "HTTP", name: "http" };
const base: IstioConfigSet = {
  Gateway: [
    {
      kind: "Gateway",
      namespace,
      name: "g",
      spec: create(GatewaySchema, { servers: [{ port, hosts: ["*"] }] }),
    },
  ],
  VirtualService: [
    {
      kind: "VirtualService",
      namespace,
      name: "v",
      spec: create(VirtualServiceSchema, {
        hosts: ["*"],
        gateways: ["g"],
        http: [{ route: [{ destination: { host: "a", port: { number: 80 } } }] }],
      }),
    },
  ],
  ServiceEntry: [
    {
      kind: "ServiceEntry",
      namespace,
      name: "e",
      spec: create(ServiceEntrySchema, { hosts: ["a"], ports: [port] }),
    },
  ],
  WasmPlugin: Array.from({ length: 50 }, (_, index) => makePlugin(`p${index}`, { priority: index })),
  Secret: [],
};

/** The types that are not the same object in two snapshots. */
function changedTypes(before: Snapshot, after: Snapshot): string[] {
  return [...after.keys()].filter((typeUrl) => after.get(typeUrl) !== before.get(typeUrl));
}

/** The resources of a type that have another version in the later snapshot. */
function changedResources(before: Snapshot, after: Snapshot, typeUrl: string): string[] {
  const old = before.get(typeUrl)!.resources;
  const resources = [...after.get(typeUrl)!.resources.values()];
  return resources.filter(({ name, version }) => old.get(name)?.version !== version).map(({ name }) => name);
}

/** The order of the filters of port 80, without the built-in ones' prefix. */
function chainOf(snapshot: Snapshot): string[] {
  const [listener] = snapshot.get(typeUrls.listener)!.resources.values();
  const names = JSON.stringify(resourceJson(listener!)).matchAll(
    /"name":"(?:envoy\.filters\.http|higress-system)\.([\w-]+)"/g,
  );
  return [...names].map(([, name]) => name!);
}

function withPlugin(
  plugins: readonly IstioConfig<"WasmPlugin">[],
  index: number,
  plugin: IstioConfig<"WasmPlugin">,
) {
  return { ...base, WasmPlugin: plugins.with(index, plugin) };
}

test("a snapshot has every type of ADS, in the order in which they are sent, and Istio's names", () => {
  const expected = [...pushOrder, "type.googleapis.com/istio.networking.nds.v1.NameTable"];
  assert.deepEqual([...buildSnapshot(base, proxy).keys()], expected);
  assert.deepEqual([...buildSnapshot(emptyIstioConfigSet, proxy).keys()], expected);
});

suite("a builder", () => {
  test("gives the same types for the same configuration", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const before = build(base);
    assert.deepEqual(changedTypes(before, build(base)), []);
    // Other lists of the same objects, as after a reconnect.
    const lists = Object.entries(base).map(([kind, list]) => [kind, [...list]]);
    assert.deepEqual(changedTypes(before, build(Object.fromEntries(lists) as IstioConfigSet)), []);
  });

  test("of one edited plugin changes one resource of one type", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const before = build(base);
    const edited = makePlugin("p7", { priority: 7, pluginConfig: { a: 1 }, url: "oci://a/b:2" });
    const after = build(withPlugin(base.WasmPlugin, 7, edited));
    assert.deepEqual(changedTypes(before, after), [typeUrls.extensionConfig]);
    assert.deepEqual(changedResources(before, after, typeUrls.extensionConfig), [`${namespace}.p7`]);
    const [old, now] = [before, after].map((snapshot) => snapshot.get(typeUrls.extensionConfig)!.resources);
    for (const [name, resource] of now!)
      if (name !== `${namespace}.p7`) assert.equal(resource, old!.get(name));
  });

  test("says the same as building anew, after any edit", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const edits = [
      makePlugin("p7", { priority: 100 }),
      makePlugin("p7", { priority: 7, phase: PluginPhase.STATS }),
      makePlugin("p7", { priority: 7, phase: PluginPhase.AUTHZ }),
      makePlugin("p7", { priority: 7, failStrategy: FailStrategy.FAIL_OPEN }),
      makePlugin("p7", { priority: 7, match: [{ ports: [{ number: 443 }] }] }),
      makePlugin("p7", { selector: { matchLabels: { other: "gateway" } } }),
      makePlugin("p7", { priority: 7 }),
    ];
    for (const edit of edits) {
      const config = withPlugin(base.WasmPlugin, 7, edit);
      const [kept, anew] = [build(config), buildSnapshot(config, proxy)];
      for (const typeUrl of pushOrder) assert.equal(kept.get(typeUrl)!.version, anew.get(typeUrl)!.version);
    }
  });

  test("moves a plugin whose phase alone changes", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const chain = (phase: PluginPhase) =>
      chainOf(build({ ...base, WasmPlugin: [makePlugin("p", { phase })] }));
    assert.deepEqual(chain(PluginPhase.AUTHZ), ["cors", "p", "rbac", "local_ratelimit", "fault", "router"]);
    assert.deepEqual(chain(PluginPhase.STATS), ["cors", "rbac", "local_ratelimit", "p", "fault", "router"]);
  });

  test("changes only clusters and endpoints for a service, only routes for a route", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const before = build(base);
    const entry = {
      ...base.ServiceEntry[0]!,
      spec: create(ServiceEntrySchema, { hosts: ["b"], ports: [port] }),
    };
    const withEntry = build({ ...base, ServiceEntry: [entry] });
    assert.deepEqual(changedTypes(before, withEntry), [typeUrls.cluster, typeUrls.endpoints]);
    const service = {
      ...base.VirtualService[0]!,
      spec: create(VirtualServiceSchema, { hosts: ["*"], gateways: ["g"] }),
    };
    const withService = build({ ...base, ServiceEntry: [entry], VirtualService: [service] });
    assert.deepEqual(changedTypes(withEntry, withService), [typeUrls.routes]);
  });
});

suite("a dynamic chain", () => {
  const dynamic: ProxyNode = { ...proxy, chain: "dynamic" };
  const gateway = (...numbers: number[]): IstioConfig<"Gateway"> => ({
    ...base.Gateway[0]!,
    spec: create(GatewaySchema, {
      servers: numbers.map((number) => ({ port: { ...port, number }, hosts: ["*"] })),
    }),
  });
  /** The plugins of each chain, by its name without `chain.`. */
  const chainsOf = (snapshot: Snapshot) =>
    Object.fromEntries(
      [...snapshot.get(typeUrls.extensionConfig)!.resources.values()].map(({ name, filters }) => [
        name.replace(/^chain\./, ""),
        filters!.map((filter) => filter.name.replace(`${namespace}.`, "")).join(" "),
      ]),
    );
  const config = (...plugins: IstioConfig<"WasmPlugin">[]): IstioConfigSet => ({
    ...base,
    WasmPlugin: plugins,
  });
  const authn = { phase: PluginPhase.AUTHN };

  test("holds the plugins of a phase in their order, and there is one for each phase, empty or not", () => {
    const snapshot = buildSnapshot(
      config(
        makePlugin("a", authn),
        makePlugin("b", { ...authn, priority: 5 }),
        makePlugin("c"),
        makePlugin("d", { phase: PluginPhase.STATS }),
      ),
      dynamic,
    );
    assert.deepEqual(chainsOf(snapshot), {
      "authn.80": "b a",
      "authz.80": "",
      "stats.80": "d",
      "unspecified.80": "c",
    });
    const [chain] = snapshot.get(typeUrls.extensionConfig)!.resources.values();
    const { typedConfig } = resourceJson(chain!) as {
      typedConfig: { defaultFilterChain: { filters: { name: string; typedConfig: object }[] } };
    };
    const listed = buildSnapshot(config(makePlugin("b", { ...authn, priority: 5 })), proxy);
    const [plain] = listed.get(typeUrls.extensionConfig)!.resources.values();
    const { "@type": _, ...expected } = resourceJson(plain!) as Record<string, unknown>;
    assert.deepEqual(typedConfig.defaultFilterChain.filters[0], expected);
  });

  test("stands in the listener by its phase's name, among the built-in filters", () => {
    const [listener] = buildSnapshot(config(), dynamic).get(typeUrls.listener)!.resources.values();
    const json = JSON.stringify(resourceJson(listener!));
    const names = [
      ...json.matchAll(/"name":"(?:envoy\.filters\.http\.|)((?:chain\.)?[\w.]+)","(?:typed|config)/g),
    ];
    assert.deepEqual(
      names.map(([, name]) => name).filter((name) => !name!.startsWith("envoy")),
      [
        ...["cors", "chain.authn.80", "chain.authz.80", "rbac", "local_ratelimit"],
        ...["chain.stats.80", "chain.unspecified.80", "fault", "router"],
      ],
    );
    assert.match(
      json,
      /"typeUrls":\["type.googleapis.com\/envoy.extensions.filters.http.filter_chain.v3.FilterChainConfig"\]/,
    );
    assert.doesNotMatch(json, /defaultConfig/);
    const always = buildSnapshot(config(), dynamic, { ...defaultBuildOptions, ecdsDefault: "always" });
    const [chapter] = always.get(typeUrls.listener)!.resources.values();
    assert.match(JSON.stringify(resourceJson(chapter!)), /"applyDefaultConfigWithoutWarming":true/);
  });

  test("changes alone when plugins come, go, change their places or are edited", () => {
    const build = createSnapshotBuilder(dynamic, defaultBuildOptions);
    const [a, b, c] = [makePlugin("a", authn), makePlugin("b", authn), makePlugin("c")] as const;
    const [chain, other] = ["chain.authn.80", "chain.unspecified.80"] as const;
    let before = build(config(a, c));
    for (const [plugins, changed] of [
      [[a, b, c], [chain]],
      [[a, makePlugin("b", { ...authn, priority: 9 }), c], [chain]],
      [[makePlugin("a", { ...authn, pluginConfig: { x: 1 } }), b, c], [chain]],
      [[b, c], [chain]],
      [[b, makePlugin("c", { failStrategy: FailStrategy.FAIL_OPEN })], [other]],
      [[b, c], [other]],
      [
        [makePlugin("b"), c],
        [other, chain],
      ],
      [[], [other]],
    ] as const) {
      const now = build(config(...plugins));
      assert.deepEqual(changedTypes(before, now), [typeUrls.extensionConfig]);
      const { changed: sent } = diffTypes(
        before.get(typeUrls.extensionConfig)!,
        now.get(typeUrls.extensionConfig)!,
      );
      assert.deepEqual(
        sent.map(({ name }) => name),
        changed,
      );
      before = now;
    }
  });

  test("is put together from plugins that are encoded once, and stays the same object while they are", () => {
    const build = createSnapshotBuilder(dynamic, defaultBuildOptions);
    const before = build({ ...base, Gateway: [gateway(80, 81)] }).get(typeUrls.extensionConfig)!.resources;
    const edited = makePlugin("p7", { priority: 7, pluginConfig: { a: 1 } });
    const after = build({ ...withPlugin(base.WasmPlugin, 7, edited), Gateway: [gateway(80, 81)] });
    const now = after.get(typeUrls.extensionConfig)!.resources;
    assert.equal(now.get("chain.authn.80"), before.get("chain.authn.80"));
    const [old, next] = [before, now].map((resources) => resources.get("chain.unspecified.80")!.filters!);
    const differ = next!.filter((filter, index) => filter !== old![index]).map(({ name }) => name);
    assert.deepEqual(differ, [`${namespace}.p7`]);
    assert.deepEqual(now.get("chain.unspecified.81")!.filters, next);
  });

  test("has the plugins of its port", () => {
    const plugins = [makePlugin("all"), makePlugin("some", { match: [{ ports: [{ number: 81 }] }] })];
    const snapshot = buildSnapshot({ ...config(...plugins), Gateway: [gateway(80, 81)] }, dynamic);
    const { "unspecified.80": first, "unspecified.81": second } = chainsOf(snapshot);
    assert.deepEqual([first, second], ["all", "all some"]);
  });

  test("says the same as building anew", () => {
    const build = createSnapshotBuilder(dynamic, defaultBuildOptions);
    for (const spec of [{ priority: 1 }, authn, { phase: PluginPhase.STATS }, { priority: 7 }]) {
      const edit = withPlugin(base.WasmPlugin, 7, makePlugin("p7", spec));
      const [kept, anew] = [build(edit), buildSnapshot(edit, dynamic)];
      for (const typeUrl of pushOrder) assert.equal(kept.get(typeUrl)!.version, anew.get(typeUrl)!.version);
    }
  });
});

suite("registry credentials", () => {
  const plugin = makePlugin("p", { imagePullSecret: "registry" });
  const configOf = (snapshot: Snapshot) =>
    JSON.stringify(resourceJson([...snapshot.get(typeUrls.extensionConfig)!.resources.values()][0]!));
  const withSecret = (text: string) => ({
    ...base,
    WasmPlugin: [plugin],
    Secret: [makeSecret("registry", text)],
  });

  test("go to a gateway that is trusted, and to no other", () => {
    const key = '"ISTIO_META_WASM_IMAGE_PULL_SECRET"';
    assert.ok(configOf(buildSnapshot(withSecret("one"), proxy)).includes(`${key}:"one"`));
    assert.ok(
      configOf(buildSnapshot(withSecret("one"), { ...proxy, secrets: "none", chain: "listener" })).includes(
        `${key}:""`,
      ),
    );
  });

  test("go to a gateway that may have those of its own namespace only where they are of that", () => {
    const own: ProxyNode = { ...proxy, secrets: "own-namespace" };
    assert.ok(configOf(buildSnapshot(withSecret("one"), own)).includes('PULL_SECRET":"one"'));
    const fromRoot = { ...defaultBuildOptions, rootNamespace: namespace };
    const other = buildSnapshot(withSecret("one"), { ...own, namespace: "other" }, fromRoot);
    assert.ok(configOf(other).includes('PULL_SECRET":""'));
  });

  test("and values from Secrets are withheld together with the plugin's module from who may have none", () => {
    const secretive = { url: "oci://a/value-of-secret:1", pluginName: "value-of-secret", priority: 7 };
    const shown = makePlugin("p", { url: "oci://a/template:1" }).spec;
    const config = { ...base, WasmPlugin: [{ ...makePlugin("p", secretive), shownSpec: shown }] };
    const textFor = (secrets: ProxyNode["secrets"]) => configOf(buildSnapshot(config, { ...proxy, secrets }));
    assert.ok(textFor("all").includes("value-of-secret"));
    assert.ok(textFor("own-namespace").includes("value-of-secret"));
    assert.ok(!textFor("none").includes("value-of-secret"));
    assert.match(textFor("none"), /withheld\.invalid.*PULL_SECRET":""/);
  });

  test("make a new resource of the plugins that use them", () => {
    const build = createSnapshotBuilder(proxy, defaultBuildOptions);
    const before = build(withSecret("one"));
    const after = build(withSecret("two"));
    assert.deepEqual(changedResources(before, after, typeUrls.extensionConfig), [`${namespace}.p`]);
    assert.ok(configOf(after).includes('"two"'));
    assert.ok(configOf(build({ ...withSecret("one"), Secret: [] })).includes('PULL_SECRET":""'));
  });
});

suite("a gateway's node", () => {
  test("gets a dynamic chain where it is asked for, its Envoy has the filter for it and its agent is ours", () => {
    const filter = { name: "envoy.filters.http.filter_chain", category: "envoy.filters.http" };
    const id = "router~1.1.1.1~gw.ns~ns.svc";
    const chainOfNode = (
      extensions: MessageInitShape<typeof NodeSchema>["extensions"],
      asked?: "dynamic",
      metadata: JsonObject = { ...ownAgent },
    ) => proxyOf(create(NodeSchema, { id, extensions, metadata }), "none", asked).chain;
    assert.equal(chainOfNode([filter], "dynamic"), "dynamic");
    assert.equal(chainOfNode([filter]), "listener");
    assert.equal(chainOfNode([filter], "dynamic", {}), "listener");
    assert.equal(chainOfNode([{ ...filter, disabled: true }], "dynamic"), "listener");
    assert.equal(chainOfNode([{ name: "envoy.filters.http.wasm" }], "dynamic"), "listener");
  });

  const nodeOf = (node: MessageInitShape<typeof NodeSchema>) => proxyOf(create(NodeSchema, node), "none");

  test("says its namespace and labels in Istio's metadata", () => {
    const metadata = { NAMESPACE: "ns", LABELS: { b: "2", a: "1", odd: 3 } };
    const id = "router~1.1.1.1~gw.other~other.svc.cluster.local";
    assert.deepEqual(nodeOf({ id, metadata }), {
      namespace: "ns",
      labels: { a: "1", b: "2" },
      secrets: "none",
      chain: "listener",
    });
  });

  test("says its namespace in its id where there is no metadata", () => {
    assert.equal(nodeOf({ id: "router~1.1.1.1~gw.other~other.svc.cluster.local" }).namespace, "other");
    assert.deepEqual(nodeOf({ id: "anything" }), {
      namespace: "",
      labels: {},
      secrets: "none",
      chain: "listener",
    });
  });
});
