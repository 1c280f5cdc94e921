import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, suite, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { toBinary } from "@bufbuild/protobuf";
import { createFetches, type Fetch, inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import { silentLog } from "../log.ts";
import { propertyNames } from "../wasm/adapt-module.ts";
import { filterChainResource, rawResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { currentRouteName } from "./current-route.ts";
import { createChainResolver } from "./resolve-chain.ts";
import { createModuleResolver, type ModuleResolver, type Resolution } from "./resolve-module.ts";
import { readFilterChain } from "./rewrite.ts";

let fetches: Fetch[];
let resolver: ModuleResolver;
/** Ends what is done for a chain. */
let versions: Map<string, AbortController>;
/** Everything that was resolved. */
let seen: Resolution[];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const source = createFetches();
  fetches = source.fetches;
  resolver = createChainResolver(createModuleResolver(source.fetchModule, silentLog));
  versions = new Map();
  seen = [];
});
afterEach(() => {
  endStream();
  mock.timers.reset();
});

function endStream(): void {
  for (const version of versions.values()) version.abort();
}

/** A plugin of a version; one that begins with `open` fails open. */
const plugin = (name: string, configuration = "v1") =>
  pluginResource({
    name: `ns.${name}`,
    configuration,
    failOpen: name.startsWith("open"),
    url: `oci://registry.example.com/${name}-${configuration}`,
  });

/** Discovery sends a chain. */
function resolve(plugins: readonly XdsResource[], name = "chain"): void {
  versions.get(name)?.abort();
  const version = new AbortController();
  versions.set(name, version);
  const chain = filterChainResource(name, plugins);
  resolver.resolve(chain, (resolution) => seen.push(resolution), version.signal);
}

/** The same, and the modules that it needs come at once. */
async function resolveAll(plugins: readonly XdsResource[], name = "chain"): Promise<Resolution> {
  const known = fetches.length;
  resolve(plugins, name);
  for (const fetch of fetches.slice(known)) await fetch.succeed();
  await nextTurn();
  return seen.at(-1)!;
}

/** What Envoy would run of a chain, and which of its plugins are not what discovery sent. */
function describe({ resource, reasons }: Resolution): string {
  const filters = resource ? readFilterChain(resource)! : [];
  const forms = filters.map((filter) => {
    const form = inShort(toBinary(TypedExtensionConfigSchema, filter)).replace(/ at .*/, "");
    return `${filter.name.slice(3)} ${form}`;
  });
  const others = [...reasons].map(([name, reason]) => `${name.slice(3)}: ${reason || "open"}`);
  const what = resource ? forms.join(", ") || "empty" : "nothing";
  return [what, ...others].join("; ");
}

const told = () => seen.map(describe);
const fetchOf = (name: string) => fetches.findLast(({ resource }) => resource === `ns.${name}`)!;
const stateOf = (name: string) => resolver.plugins().find((one) => one.name === `ns.${name}`)?.state;

suite("the first form of a chain", () => {
  test("waits for all its plugins", async () => {
    resolve([plugin("a"), plugin("b")]);
    await fetchOf("a").succeed();
    assert.deepEqual(told(), []);
    await fetchOf("b").succeed();
    assert.deepEqual(told(), ["a v1, b v1"]);
  });

  test("has a substitute of what failed, and another version until that is there", async () => {
    resolve([plugin("a"), plugin("open"), plugin("shut")]);
    const { version } = filterChainResource("chain", [plugin("a"), plugin("open"), plugin("shut")]);
    await fetchOf("a").succeed();
    await fetchOf("open").fail("none");
    await fetchOf("shut").fail("none");
    const reason = (name: string) => `cannot fetch oci://registry.example.com/${name}-v1: none`;
    assert.deepEqual(told(), [
      `a v1, open allow, shut deny; open: ${reason("open")}; shut: ${reason("shut")}`,
    ]);
    assert.notEqual(seen[0]!.resource?.version, version);
    mock.timers.tick(1000);
    await nextTurn();
    await fetchOf("open").succeed();
    await fetchOf("shut").succeed();
    assert.equal(told().at(-1), "a v1, open v1, shut v1");
    assert.equal(seen.at(-1)!.resource?.version, version);
  });

  test("of no plugins is there at once", async () => {
    resolve([]);
    await nextTurn();
    assert.deepEqual(told(), ["empty"]);
  });
});

suite("a later form of a chain", () => {
  test("comes when what changed is there, and nothing else is fetched again", async () => {
    await resolveAll([plugin("a"), plugin("b")]);
    resolve([plugin("a"), plugin("b", "v2")]);
    await nextTurn();
    assert.deepEqual(told().slice(1), ["a v1, b v1; b: open"]);
    await fetchOf("b").succeed();
    assert.deepEqual(told().slice(2), ["a v1, b v2"]);
    assert.deepEqual(
      fetches.map(({ resource }) => resource),
      ["ns.a", "ns.b", "ns.b"],
    );
  });

  test("with plugins that are known is there at once: removed, in another order", async () => {
    await resolveAll([plugin("a"), plugin("b"), plugin("c")]);
    resolve([plugin("c"), plugin("a")]);
    await nextTurn();
    assert.equal(told().at(-1), "c v1, a v1");
    assert.equal(stateOf("b"), undefined);
    assert.equal(fetches.length, 3);
  });

  test("does not wait for one that is being fetched: it keeps its earlier form, or is left out", async () => {
    await resolveAll([plugin("a"), plugin("b")]);
    resolve([plugin("a", "v2"), plugin("new"), plugin("b", "v2")]);
    await fetchOf("b").succeed();
    assert.equal(told().at(-1), "a v1, b v2; a: open; new: open");
    await fetchOf("new").succeed();
    assert.equal(told().at(-1), "a v1, new v1, b v2; a: open");
    await fetchOf("a").fail("none");
    assert.match(told().at(-1)!, /^a v1, new v1, b v2; a: cannot fetch .*none$/);
    assert.equal(stateOf("a"), "last-good");
  });

  test("leaves what is still being fetched to its fetch", async () => {
    await resolveAll([plugin("a")]);
    resolve([plugin("a"), plugin("slow")]);
    resolve([plugin("slow"), plugin("a")]);
    assert.equal(fetchOf("slow").signal.aborted, false);
    await fetchOf("slow").succeed();
    assert.equal(told().at(-1), "slow v1, a v1");
    assert.equal(fetches.length, 2);
  });

  test("ends the fetch of what is gone or has another version", async () => {
    resolve([plugin("a"), plugin("b")]);
    const [a, b] = fetches as [Fetch, Fetch];
    resolve([plugin("a", "v2")]);
    await nextTurn();
    assert.deepEqual([a.signal.aborted, b.signal.aborted], [true, true]);
    assert.deepEqual(
      resolver.plugins().map(({ name }) => name),
      ["ns.a"],
    );
  });
});

suite("a plugin in two chains", () => {
  test("is fetched and shown once, and forgotten when it is in none", async () => {
    resolve([plugin("a")], "first");
    resolve([plugin("a"), plugin("b")], "second");
    await fetchOf("a").succeed();
    await fetchOf("b").succeed();
    assert.deepEqual(told(), ["a v1", "a v1, b v1"]);
    assert.equal(fetches.length, 2);
    assert.equal(resolver.plugins().length, 2);
    resolver.forget("first");
    assert.equal(stateOf("a"), "ready");
    resolver.forget("second");
    assert.deepEqual(resolver.plugins(), []);
  });

  test("can go from one to the other and keeps what it has", async () => {
    await resolveAll([plugin("a")], "first");
    await resolveAll([plugin("b")], "second");
    resolve([], "first");
    resolve([plugin("b"), plugin("a")], "second");
    await nextTurn();
    assert.deepEqual(told().slice(-2), ["empty", "b v1, a v1"]);
    assert.equal(fetches.length, 2);
  });

  test("is put back in both when Envoy refuses one", async () => {
    const [first, second] = [
      await resolveAll([plugin("a")], "first"),
      await resolveAll([plugin("a")], "second"),
    ];
    assert.equal(describe(resolver.refused(first.resource!, "bad ns.a")), "a deny; a: bad ns.a");
    await nextTurn();
    assert.equal(told().at(-1), "a deny; a: bad ns.a");
    assert.equal(describe(resolver.refused(second.resource!, "bad ns.a")), "a deny; a: bad ns.a");
  });
});

suite("when Envoy refuses a chain", () => {
  /** Envoy has taken this chain. */
  async function accepted(...plugins: readonly XdsResource[]): Promise<void> {
    const { resource } = await resolveAll(plugins);
    resolver.accepted(resource!);
  }
  const refuse = (resolution: Resolution, error: string) =>
    describe(resolver.refused(resolution.resource!, error));

  test("the plugin that it names goes back to what it took last, and the others stay", async () => {
    await accepted(plugin("a"), plugin("b"));
    const changed = await resolveAll([plugin("a", "v2"), plugin("b", "v2")]);
    const error = "Unable to create Wasm plugin ns.b";
    assert.equal(refuse(changed, error), `a v2, b v1; b: ${error}`);
    assert.deepEqual([stateOf("a"), stateOf("b")], ["ready", "last-good"]);
    const edited = await resolveAll([plugin("a", "v3"), plugin("b", "v2")]);
    assert.equal(describe(edited), `a v3, b v1; b: ${error}`);
    assert.equal(describe(await resolveAll([plugin("a", "v3"), plugin("b", "v3")])), "a v3, b v3");
  });

  test("a name that begins or ends like another's is not meant", async () => {
    const changed = await resolveAll([plugin("key"), plugin("key-auth"), plugin("key.auth")]);
    const error = "Unable to create Wasm plugin ns.key-auth";
    assert.equal(refuse(changed, error), `key v1, key-auth deny, key.auth v1; key-auth: ${error}`);
    assert.equal(resolver.concerns(changed.resource!, "plugin ns.other"), false);
    assert.equal(resolver.concerns(changed.resource!, "plugin ns.key."), true);
  });

  test("a plugin is meant by its module's path too", async () => {
    const changed = await resolveAll([plugin("a"), plugin("b")]);
    const error = "Invalid path: /modules/b-v1.wasm";
    assert.equal(refuse(changed, error), `a v1, b deny; b: ${error}`);
  });

  test("where one is named, others with the module of that path are not meant", async () => {
    const changed = await resolveAll([plugin("a"), plugin("b")]);
    const error =
      "Unable to create Wasm plugin ns.b: plugin ns.b (/modules/a-v1.wasm) refused its configuration";
    assert.equal(refuse(changed, error), `a v1, b deny; b: ${error}`);
  });

  test("a new one goes to its substitute, by its fail strategy", async () => {
    await accepted(plugin("a"));
    const changed = await resolveAll([plugin("open"), plugin("a")]);
    assert.equal(refuse(changed, "bad ns.open"), "open allow, a v1; open: bad ns.open");
    assert.equal(stateOf("open"), "allowing");
  });

  test("and names nobody, all that changed since go back", async () => {
    await accepted(plugin("a"), plugin("b"));
    const changed = await resolveAll([plugin("b", "v2"), plugin("c"), plugin("a")]);
    assert.equal(refuse(changed, "no"), "b v1, c deny, a v1; b: no; c: no");
  });

  test("and what it took before as well, it is left with the chain that it has", async () => {
    await accepted(plugin("a"), plugin("b"));
    const changed = await resolveAll([plugin("b"), plugin("a"), plugin("c")]);
    assert.equal(refuse(changed, "bad ns.a"), "nothing; c: bad ns.a; a: bad ns.a");
  });

  test("a substitute that it refuses is given up", async () => {
    const first = await resolveAll([plugin("a")]);
    const next = resolver.refused(first.resource!, "bad ns.a");
    assert.equal(refuse(next, "worse ns.a"), "nothing; a: worse ns.a");
  });

  test("what has a newer version meanwhile is not put back", async () => {
    const first = await resolveAll([plugin("a")]);
    const second = await resolveAll([plugin("a", "v2")]);
    assert.equal(refuse(first, "bad ns.a"), "a v2");
    assert.equal(describe(second), "a v2");
  });
});

suite("when the stream ends", () => {
  test("what is being fetched ends, and goes on with the next stream", async () => {
    await resolveAll([plugin("a")]);
    resolve([plugin("a"), plugin("b")]);
    endStream();
    await nextTurn();
    assert.equal(fetchOf("b").signal.aborted, true);
    resolve([plugin("a"), plugin("b")]);
    await nextTurn();
    // Another Envoy may be there, which has nothing yet.
    assert.equal(told().length, 1);
    assert.equal(fetches.length, 3);
    await fetchOf("b").succeed();
    assert.equal(told().at(-1), "a v1, b v1");
  });

  test("what is known is there at once for the next", async () => {
    await resolveAll([plugin("a"), plugin("b")]);
    endStream();
    await nextTurn();
    resolve([plugin("a", "v2"), plugin("b")]);
    await nextTurn();
    assert.equal(told().at(-1), "a v1, b v1; a: open");
    assert.equal(fetches.length, 3);
  });
});

test("what is no chain, or cannot be read, is a plugin's own business", async () => {
  const other = rawResource("x", "type.googleapis.com/other.Type", Uint8Array.of(1));
  const unreadable = rawResource("y", typeUrls.extensionConfig, Uint8Array.of(0xff));
  const end = new AbortController();
  for (const resource of [other, unreadable]) {
    resolver.resolve(resource, (resolution) => seen.push(resolution), end.signal);
    assert.equal(seen.at(-1)?.resource, resource);
    resolver.accepted(resource);
    assert.deepEqual(resolver.refused(resource, "no").resource, undefined);
  }
  resolver.resolve(plugin("a"), (resolution) => seen.push(resolution), end.signal);
  await fetchOf("a").succeed();
  assert.equal(inShort(seen.at(-1)!.resource!.value), "v1 at /modules/a-v1.wasm");
  assert.deepEqual(resolver.modulesInEffect(), ["/modules/a-v1.wasm"]);
  resolver.forget("ns.a");
  assert.deepEqual(resolver.plugins(), []);
});

test("before a plugin that reads the route's name Envoy looks the current route up", async () => {
  resolve([plugin("a"), plugin("b"), plugin("c")]);
  const [a, b, c] = fetches;
  await a!.succeed();
  await b!.succeed(undefined, { adapted: [propertyNames] });
  await c!.succeed(undefined, { adapted: ["marker"] });
  await nextTurn();
  const names = readFilterChain(seen.at(-1)!.resource!)!.map(({ name }) => name);
  assert.deepEqual(names, ["ns.a", currentRouteName, "ns.b", "ns.c"]);
});

test("the modules of a chain are in effect", async () => {
  const { resource } = await resolveAll([plugin("a"), plugin("b")]);
  resolver.accepted(resource!);
  assert.deepEqual(
    new Set(resolver.modulesInEffect()),
    new Set(["/modules/a-v1.wasm", "/modules/b-v1.wasm"]),
  );
});
