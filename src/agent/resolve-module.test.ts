import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { createFetches, type Fetch, inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { silentLog } from "../log.ts";
import { SystemError } from "../system-error.ts";
import { rawResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { createModuleResolver, type ModuleResolver, type Resolution } from "./resolve-module.ts";

let fetches: Fetch[];
let resolver: ModuleResolver;
let warnings: string[];
let stream: AbortController;

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const source = createFetches();
  fetches = source.fetches;
  warnings = [];
  const warn = (_: object, message: string) => void warnings.push(message);
  resolver = createModuleResolver(source.fetchModule, { ...silentLog, warn });
  stream = new AbortController();
});
afterEach(() => {
  stream.abort();
  mock.timers.reset();
});

type Plugin = Parameters<typeof pluginResource>[0];

/** Resolves a plugin; what comes of it is in the list, in short. */
function resolve(plugin: Plugin, signal = stream.signal): string[] {
  const seen: string[] = [];
  resolver.resolve(pluginResource(plugin), (resolution) => seen.push(describe(resolution)), signal);
  return seen;
}

function describe({ resource, reasons }: Resolution): string {
  return [resource ? inShort(resource.value) : "nothing", ...reasons.values()].join(": ");
}

/** Lets time pass, and what was waiting for it happen. */
async function pass(ms: number): Promise<void> {
  mock.timers.tick(ms);
  await nextTurn();
}

const stateOf = (name: string) => resolver.plugins().find((plugin) => plugin.name === name)?.state;

test("a plugin gets the local file of its module, and keeps its version", async () => {
  const plugin = pluginResource({ configuration: "v1" });
  const seen: Resolution[] = [];
  resolver.resolve(plugin, (resolution) => seen.push(resolution), stream.signal);
  assert.equal(seen.length, 0);
  assert.equal(stateOf("ns.a"), "fetching");
  await fetches[0]!.succeed("/modules/1.wasm");
  assert.deepEqual(seen.map(describe), ["v1 at /modules/1.wasm"]);
  const resource = seen.at(0)?.resource;
  assert.deepEqual([resource?.name, resource?.version], ["ns.a", plugin.version]);
  const [{ url, ...status }] = resolver.plugins() as [ReturnType<ModuleResolver["plugins"]>[number]];
  assert.deepEqual(status, { name: "ns.a", state: "ready", path: "/modules/1.wasm", error: "", attempts: 1 });
  assert.equal(url, "oci://registry.example.com/a:1");
});

test("the status says what was changed in a module, and what could not be", async () => {
  const made = { adaptedFrom: "ab", adapted: ["marker"], warning: "rules by route will match nothing" };
  resolver = createModuleResolver(async () => ({ path: "/modules/1.wasm", ...made }), silentLog);
  resolve({});
  await nextTurn();
  const { adaptedFrom, adapted, warning } = resolver.plugins()[0]!;
  assert.deepEqual({ adaptedFrom, adapted, warning }, made);
});

test("what is no plugin, or cannot be read, passes at once and untouched", () => {
  const other = rawResource("x", "type.googleapis.com/other.Type", Uint8Array.of(1));
  const unreadable = rawResource("y", typeUrls.extensionConfig, Uint8Array.of(0xff));
  for (const resource of [other, unreadable]) {
    const seen: Resolution[] = [];
    resolver.resolve(resource, (resolution) => seen.push(resolution), stream.signal);
    assert.deepEqual(seen, [{ resource, reasons: new Map() }]);
  }
  assert.deepEqual(fetches, []);
});

for (const { failOpen, substitute, state, warning } of [
  { failOpen: false, substitute: "deny", state: "denying", warning: /requests are denied \(FAIL_CLOSE\)/ },
  {
    failOpen: true,
    substitute: "allow",
    state: "allowing",
    warning: /requests pass without the plugin \(FAIL_OPEN\)/,
  },
]) {
  test(`without a module a plugin that fails ${failOpen ? "open" : "closed"} is: ${substitute}`, async () => {
    const plugin = pluginResource({ failOpen });
    const versions: (string | undefined)[] = [];
    resolver.resolve(plugin, ({ resource }) => versions.push(resource?.version), stream.signal);
    const seen = resolve({ name: "ns.b", failOpen });
    for (const fetch of fetches) await fetch.fail();
    assert.match(
      seen[0] ?? "",
      new RegExp(`^${substitute}: cannot fetch oci://registry.example.com/a:1: no such image$`),
    );
    assert.notEqual(versions[0], plugin.version, "after a reconnect it must be asked for again");
    assert.equal(stateOf("ns.b"), state);
    assert.match(warnings[0] ?? "", warning);
  });
}

test("a pull secret that is not there is an error, and nothing is fetched", async () => {
  const seen = resolve({ pullSecret: "" });
  await nextTurn();
  assert.match(seen[0] ?? "", /^deny: the image pull secret does not exist/);
  assert.deepEqual(fetches, []);
});

test("a version without its module leaves the last good one in effect", async () => {
  resolve({ configuration: "v1" });
  await fetches[0]!.succeed("/modules/1.wasm");
  const seen = resolve({ configuration: "v2", url: "oci://registry.example.com/a:2" });
  await fetches[1]!.fail();
  assert.deepEqual(seen, [
    "v1 at /modules/1.wasm: cannot fetch oci://registry.example.com/a:2: no such image",
  ]);
  assert.equal(stateOf("ns.a"), "last-good");
});

test("a failed fetch is tried again after growing pauses, and only its success is told", async () => {
  const seen = resolve({ configuration: "v1" });
  await fetches[0]!.fail();
  for (let attempts = 1; attempts <= 8; attempts++) {
    const longest = Math.min(1000 * 2 ** (attempts - 1), 60_000);
    await pass(longest / 2 - 1);
    assert.equal(fetches.length, attempts, `pause ${attempts} is too short`);
    await pass(longest / 2 + 1);
    assert.equal(fetches.length, attempts + 1, `pause ${attempts} is too long`);
    await fetches[attempts]!.fail(`failure ${attempts}`);
    assert.equal(seen.length, 1);
  }
  assert.match(resolver.plugins()[0]?.error ?? "", /failure 8$/);
  await pass(60_000);
  await fetches.at(-1)!.succeed("/modules/1.wasm");
  assert.deepEqual(seen.slice(1), ["v1 at /modules/1.wasm"]);
  assert.deepEqual([stateOf("ns.a"), resolver.plugins()[0]?.attempts], ["ready", 10]);
  await pass(120_000);
  assert.equal(fetches.length, 10);
});

test("nothing is fetched, and nothing told, once the signal is aborted", async () => {
  const seen = resolve({});
  await fetches[0]!.fail();
  stream.abort();
  await pass(60_000);
  assert.deepEqual([fetches.length, seen.length], [1, 1]);
});

test("a module that comes after a newer version took its place is neither told nor the last good one", async () => {
  const overtaken = new AbortController();
  const old = resolve({ configuration: "v1" }, overtaken.signal);
  overtaken.abort();
  resolve({ configuration: "v2" });
  await fetches[1]!.succeed("/modules/2.wasm");
  await fetches[0]!.succeed("/modules/1.wasm");
  assert.deepEqual(old, []);
  assert.equal(resolver.plugins()[0]?.path, "/modules/2.wasm");
  const seen = resolve({ configuration: "v3" });
  await fetches[2]!.fail();
  assert.match(seen[0] ?? "", /^v2 at /);
});

test("what Envoy refused gives way to what it took last, also for versions whose module does not come", async () => {
  const resources: Resolution["resource"][] = [];
  for (const configuration of ["v1", "v2"]) {
    resolver.resolve(
      pluginResource({ configuration }),
      ({ resource }) => resources.push(resource),
      stream.signal,
    );
    await fetches.at(-1)!.succeed("/modules/1.wasm");
  }
  resolver.accepted(resources[0]!);
  assert.equal(resolver.refused(resources[1]!, "bad configuration").resource, resources[0]);
  assert.deepEqual([stateOf("ns.a"), resolver.plugins()[0]?.error], ["last-good", "bad configuration"]);
  const seen = resolve({ configuration: "v3" });
  await fetches[2]!.fail();
  assert.match(seen[0] ?? "", /^v1 at /);
});

test("what Envoy refused at first gives way to a substitute", async () => {
  for (const failOpen of [false, true]) {
    const plugin = pluginResource({ failOpen });
    let local: Resolution["resource"];
    resolver.resolve(plugin, ({ resource }) => (local = resource), stream.signal);
    await fetches.at(-1)!.succeed();
    const { resource: substitute } = resolver.refused(local!, "bad configuration");
    assert.equal(inShort(substitute!.value), failOpen ? "allow" : "deny");
    assert.equal(substitute?.version, `${plugin.version}~substitute`);
    assert.equal(stateOf("ns.a"), failOpen ? "allowing" : "denying");
  }
});

test("what is no plugin has no substitute", () => {
  const other = rawResource("x", "type.googleapis.com/other.Type", Uint8Array.of(1));
  assert.deepEqual(resolver.refused(other, "no"), { resource: undefined, reasons: new Map([["x", "no"]]) });
});

test("a forgotten plugin begins anew", async () => {
  resolve({ configuration: "v1" });
  await fetches[0]!.succeed();
  resolver.forget("ns.a");
  assert.deepEqual(resolver.plugins(), []);
  const seen = resolve({ configuration: "v2" });
  await fetches[1]!.fail();
  assert.match(seen[0] ?? "", /^deny: /);
});

test("what Envoy runs, what it was given and what it would go back to is in effect", async () => {
  const given: XdsResource[] = [];
  for (const version of ["1", "2", "3"]) {
    const onResolution = ({ resource }: Resolution) => given.push(resource!);
    resolver.resolve(pluginResource({ configuration: `v${version}` }), onResolution, stream.signal);
    await fetches.at(-1)!.succeed(`/modules/${version}.wasm`);
    if (version === "1") resolver.accepted(given[0]!);
  }
  const inEffect = () => [...new Set(resolver.modulesInEffect())].sort().join();
  assert.equal(inEffect(), "/modules/1.wasm,/modules/2.wasm,/modules/3.wasm");
  resolver.accepted(given[1]!);
  assert.equal(inEffect(), "/modules/2.wasm,/modules/3.wasm");
  resolver.refused(given[2]!, "bad configuration");
  assert.equal(inEffect(), "/modules/2.wasm");
  resolver.forget("ns.a");
  assert.equal(inEffect(), "");
});

for (const { asked, waited } of [
  { asked: 120_000, waited: 120_000 },
  { asked: 86_400_000, waited: 600_000 },
]) {
  test(`a registry that asks to be left alone for ${asked / 1000} s is, for ${waited / 1000} s`, async () => {
    resolve({});
    await fetches[0]!.fail(new SystemError("registry", "429", undefined, asked));
    await pass(waited - 1);
    assert.equal(fetches.length, 1);
    await pass(1);
    assert.equal(fetches.length, 2);
  });
}
