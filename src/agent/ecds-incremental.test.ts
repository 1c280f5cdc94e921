import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { createFetches, type Fetch, inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import {
  type DeltaDiscoveryRequest,
  DeltaDiscoveryRequestSchema,
  type DeltaDiscoveryResponse,
  DeltaDiscoveryResponseSchema,
  ResourceSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { silentLog } from "../log.ts";
import { readRefusal, refusalStatus } from "../xds/refusal.ts";
import { filterChainResource, rawResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { createIncrementalSession } from "./ecds-incremental.ts";
import { createPluginLog, type PluginLog } from "./plugin-log.ts";
import { createChainResolver } from "./resolve-chain.ts";
import { createModuleResolver, type ModuleResolver } from "./resolve-module.ts";
import { readFilterChain } from "./rewrite.ts";

type Session = ReturnType<typeof createIncrementalSession>;

let fetches: Fetch[];
let resolver: ModuleResolver;
let stream: AbortController;
let session: Session;
let pluginLog: PluginLog;
/** What Envoy and discovery were sent. */
let down: DeltaDiscoveryResponse[];
let up: DeltaDiscoveryRequest[];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const source = createFetches();
  fetches = source.fetches;
  resolver = createChainResolver(createModuleResolver(source.fetchModule, silentLog));
  openStream();
});
afterEach(() => {
  stream.abort();
  mock.timers.reset();
});

function openStream(): void {
  stream = new AbortController();
  down = [];
  up = [];
  const [sendDown, sendUp] = [down.push.bind(down), up.push.bind(up)];
  pluginLog = createPluginLog();
  session = createIncrementalSession({ resolver, pluginLog, sendUp, sendDown, signal: stream.signal });
}

/** Envoy writes that a plugin has trapped. */
function trap(name: string): void {
  for (const message of [`wasm log ${name}: no more`, "Function: proxy_on_log failed: unreachable"])
    pluginLog.take({ level: "error", thread: "1", component: "wasm", message });
}

/** Discovery sends resources in one response. */
function respond(nonce: string, resources: readonly XdsResource[], removedResources: string[] = []): void {
  const wrapped = resources.map(({ name, version, typeUrl, value }) =>
    create(ResourceSchema, { name, version, resource: create(AnySchema, { typeUrl, value }) }),
  );
  const typeUrl = typeUrls.extensionConfig;
  session.onResponse(
    create(DeltaDiscoveryResponseSchema, { typeUrl, nonce, resources: wrapped, removedResources }),
  );
}

const plugin = (name: string, configuration = "v1", failOpen = false) =>
  pluginResource({
    name,
    configuration,
    failOpen,
    url: `oci://registry.example.com/${name}-${configuration}`,
  });

const request = (fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema>) =>
  session.onRequest(create(DeltaDiscoveryRequestSchema, { typeUrl: typeUrls.extensionConfig, ...fields }));

/** Envoy accepts a response. */
function ack(
  { nonce }: DeltaDiscoveryResponse,
  fields: MessageInitShape<typeof DeltaDiscoveryRequestSchema> = {},
): void {
  request({ responseNonce: nonce, ...fields });
}

/** Envoy refuses a response. */
function nack({ nonce }: DeltaDiscoveryResponse, message: string): void {
  request({ responseNonce: nonce, errorDetail: create(StatusSchema, { message }) });
}

/** `NAME: what Envoy would run`, for each response that Envoy got. */
const sentDown = () =>
  down.map(({ resources, removedResources }) => {
    assert.deepEqual(removedResources, []);
    return resources.map(({ name, resource }) => `${name}: ${inShort(resource!.value)}`).join(", ");
  });

/** `NONCE ok`, or `NONCE` and the error, for each answer that discovery got. */
const sentUp = () =>
  up.map(({ responseNonce, errorDetail }) => `${responseNonce} ${errorDetail?.message ?? "ok"}`);

const fetchOf = (name: string) => fetches.findLast(({ resource }) => resource === name)!;

test("each resource goes to Envoy in a response of its own, when its module is there", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  assert.deepEqual(sentDown(), []);
  await fetchOf("ns.b").succeed();
  assert.deepEqual(sentDown(), ["ns.b: v1 at /modules/ns.b-v1.wasm"]);
  await fetchOf("ns.a").succeed();
  assert.deepEqual(sentDown().slice(1), ["ns.a: v1 at /modules/ns.a-v1.wasm"]);
  assert.equal(new Set(down.map(({ nonce }) => nonce)).size, 2);
  assert.deepEqual(
    down.map(({ typeUrl }) => typeUrl),
    [typeUrls.extensionConfig, typeUrls.extensionConfig],
  );
});

test("a pull that is slow holds up neither other plugins nor later responses", async () => {
  respond("1", [plugin("ns.slow")]);
  respond("2", [plugin("ns.b")]);
  await fetchOf("ns.b").succeed();
  ack(down[0]!);
  assert.deepEqual([sentDown(), sentUp()], [["ns.b: v1 at /modules/ns.b-v1.wasm"], ["2 ok"]]);
  await fetchOf("ns.slow").succeed();
  ack(down[1]!);
  assert.deepEqual(sentUp(), ["2 ok", "1 ok"]);
});

test("of two versions the newest wins, in whatever order their modules come", async () => {
  respond("1", [plugin("ns.a", "v1")]);
  respond("2", [plugin("ns.a", "v2")]);
  const [first, second] = fetches as [Fetch, Fetch];
  assert.equal(first.signal.aborted, true);
  await second.succeed();
  await first.succeed();
  assert.deepEqual(sentDown(), ["ns.a: v2 at /modules/ns.a-v2.wasm"]);
  ack(down[0]!);
  assert.deepEqual(sentUp(), ["1 ok", "2 ok"]);
});

test("what is overtaken when Envoy has it already is answered once, whatever Envoy says of it", async () => {
  respond("1", [plugin("ns.a", "v1")]);
  await fetches[0]!.succeed();
  respond("2", [plugin("ns.a", "v2")]);
  nack(down[0]!, "bad v1");
  ack(down[1]!);
  await fetches[1]!.succeed();
  ack(down[2]!);
  assert.deepEqual(sentUp(), ["1 ok", "2 ok"]);
  assert.deepEqual(sentDown().slice(1), ["ns.a: deny", "ns.a: v2 at /modules/ns.a-v2.wasm"]);
});

test("a refusal that comes when Envoy has a newer version already takes nothing back", async () => {
  respond("1", [plugin("ns.a", "v1")]);
  await fetches[0]!.succeed();
  respond("2", [plugin("ns.a", "v2")]);
  await fetches[1]!.succeed();
  nack(down[0]!, "bad v1");
  ack(down[1]!);
  assert.deepEqual([down.length, sentUp()], [2, ["1 ok", "2 ok"]]);
  respond("3", [plugin("ns.a", "v3")]);
  await fetches[2]!.fail();
  assert.match(sentDown()[2] ?? "", /^ns\.a: v2 at/);
});

test("discovery gets one ACK, when Envoy has accepted the last of a response's resources", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  for (const fetch of fetches) await fetch.succeed();
  ack(down[0]!);
  assert.deepEqual(sentUp(), []);
  ack(down[1]!);
  assert.deepEqual(sentUp(), ["1 ok"]);
  assert.deepEqual(up[0]?.typeUrl, typeUrls.extensionConfig);
});

test("a NACK names the plugins that Envoy refused, and why", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b"), plugin("ns.c")]);
  for (const fetch of fetches) await fetch.succeed();
  nack(down[0]!, "bad a");
  ack(down[1]!);
  nack(down[2]!, "");
  assert.deepEqual(sentUp(), ["1 ns.a: bad a; ns.c: refused without a reason"]);
});

test("a module that fails is a NACK that names it, its late success an ACK of the same nonce", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  await fetchOf("ns.a").fail("no such image");
  await fetchOf("ns.b").succeed();
  for (const response of [...down]) ack(response);
  const error = "ns.a: cannot fetch oci://registry.example.com/ns.a-v1: no such image";
  assert.deepEqual([sentDown()[0], sentUp()], ["ns.a: deny", [`1 ${error}`]]);
  mock.timers.tick(1000);
  await nextTurn();
  await fetchOf("ns.a").succeed();
  assert.deepEqual(sentUp().length, 1);
  ack(down[2]!);
  assert.deepEqual(sentDown().slice(2), ["ns.a: v1 at /modules/ns.a-v1.wasm"]);
  assert.deepEqual(sentUp(), [`1 ${error}`, "1 ok"]);
});

test("a substitute has another version than the resource, a module the same", async () => {
  const resources = [plugin("ns.a"), plugin("ns.b", "v1", true)];
  respond("1", resources);
  await fetchOf("ns.a").succeed();
  await fetchOf("ns.b").fail();
  const versions = down.map(({ resources: [resource] }) => resource?.version);
  assert.deepEqual(versions, [resources[0]!.version, `${resources[1]!.version}~substitute`]);
  assert.deepEqual(sentDown()[1], "ns.b: allow");
});

test("what Envoy refuses is followed by what it took last", async () => {
  respond("1", [plugin("ns.a", "v1")]);
  await fetches[0]!.succeed();
  ack(down[0]!);
  respond("2", [plugin("ns.a", "v2")]);
  await fetches[1]!.succeed();
  nack(down[1]!, "bad v2");
  assert.deepEqual(sentDown().slice(2), ["ns.a: v1 at /modules/ns.a-v1.wasm"]);
  assert.deepEqual(down[2]?.resources, down[0]?.resources);
  ack(down[2]!);
  assert.deepEqual(sentUp(), ["1 ok", "2 ns.a: bad v2"]);
});

test("what Envoy refuses at first is followed by a substitute, and nothing if it refuses that too", async () => {
  respond("1", [plugin("ns.a")]);
  await fetches[0]!.succeed();
  nack(down[0]!, "bad v1");
  assert.deepEqual(sentDown().slice(1), ["ns.a: deny"]);
  nack(down[1]!, "unexpected type");
  assert.equal(down.length, 2);
  assert.deepEqual(sentUp(), ["1 ns.a: bad v1", "1 ns.a: unexpected type"]);
});

test("what Envoy took last outlives the stream", async () => {
  respond("1", [plugin("ns.a", "v1")]);
  await fetches[0]!.succeed();
  ack(down[0]!);
  stream.abort();
  openStream();
  respond("1", [plugin("ns.a", "v2")]);
  await fetches[1]!.succeed();
  nack(down[0]!, "bad v2");
  assert.deepEqual(sentDown().slice(1), ["ns.a: v1 at /modules/ns.a-v1.wasm"]);
});

test("Envoy does not hear of removed resources, and discovery has its one answer", async () => {
  respond("1", [plugin("ns.a")], ["ns.gone", "ns.lost"]);
  await fetches[0]!.succeed();
  ack(down[0]!);
  respond("2", [], ["ns.a"]);
  assert.deepEqual(sentDown(), ["ns.a: v1 at /modules/ns.a-v1.wasm"]);
  assert.deepEqual(sentUp(), ["1 ok", "2 ok"]);
  assert.deepEqual(resolver.plugins(), []);
});

test("a plugin that was removed and comes back broken does not get what was good before", async () => {
  respond("1", [plugin("ns.a")]);
  await fetches[0]!.succeed();
  ack(down[0]!);
  respond("2", [], ["ns.a"]);
  respond("3", [plugin("ns.a", "v2")]);
  await fetches[1]!.fail();
  assert.deepEqual(sentDown(), ["ns.a: v1 at /modules/ns.a-v1.wasm", "ns.a: deny"]);
  ack(down[1]!);
  respond("4", [plugin("ns.a", "v3")]);
  await fetches[2]!.succeed();
  nack(down[2]!, "bad v3");
  assert.deepEqual(sentDown().slice(2), ["ns.a: v3 at /modules/ns.a-v3.wasm", "ns.a: deny"]);
});

test("the removal of what is being fetched ends the fetch", async () => {
  respond("1", [plugin("ns.a")]);
  respond("2", [], ["ns.a"]);
  assert.ok(fetches[0]!.signal.aborted);
  await fetches[0]!.succeed();
  assert.deepEqual([sentDown(), sentUp()], [[], ["1 ok", "2 ok"]]);
});

test("a response with nothing in it is answered at once", () => {
  respond("1", []);
  assert.deepEqual([sentDown(), sentUp()], [[], ["1 ok"]]);
});

test("what is no plugin passes untouched", () => {
  const other = rawResource("ns.x", "type.googleapis.com/other.Type", Uint8Array.of(1, 2));
  respond("1", [other]);
  const [{ resource, version } = create(ResourceSchema)] = down[0]!.resources;
  assert.deepEqual(
    [version, resource?.typeUrl, resource?.value],
    [other.version, other.typeUrl, other.value],
  );
  ack(down[0]!);
  assert.deepEqual(sentUp(), ["1 ok"]);
});

test("requests that answer nothing pass untouched", () => {
  request({ resourceNamesSubscribe: ["ns.a"], initialResourceVersions: { "ns.b": "1" } });
  request({ responseNonce: "unknown" });
  assert.deepEqual(up[0]?.resourceNamesSubscribe, ["ns.a"]);
  assert.deepEqual(up[0]?.initialResourceVersions, { "ns.b": "1" });
  assert.equal(up[1]?.responseNonce, "unknown");
});

test("changes of the subscription within an answer are passed on without it", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  await fetchOf("ns.a").succeed();
  ack(down[0]!, { resourceNamesSubscribe: ["ns.c"], resourceNamesUnsubscribe: ["ns.d"] });
  const [{ resourceNamesSubscribe, resourceNamesUnsubscribe, responseNonce, errorDetail } = up[0]!] = up;
  assert.deepEqual([resourceNamesSubscribe, resourceNamesUnsubscribe], [["ns.c"], ["ns.d"]]);
  assert.deepEqual([responseNonce, errorDetail, up.length], ["", undefined, 1]);
});

test("a plugin that Envoy does not ask for any more is not fetched again, and holds up no answer", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  await fetchOf("ns.b").succeed();
  ack(down[0]!);
  request({ resourceNamesUnsubscribe: ["ns.a"] });
  assert.equal(fetchOf("ns.a").signal.aborted, true);
  assert.deepEqual(sentUp(), ["1 ok", " ok"]);
  await fetchOf("ns.a").fail();
  mock.timers.tick(60_000);
  await nextTurn();
  assert.equal(fetches.length, 2);
  assert.deepEqual(
    resolver.plugins().map(({ name }) => name),
    ["ns.b"],
  );
});

test("the end of the stream ends what is being fetched, and nobody is told of it", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  await fetchOf("ns.b").fail();
  stream.abort();
  assert.equal(fetchOf("ns.a").signal.aborted, true);
  await fetchOf("ns.a").succeed();
  mock.timers.tick(60_000);
  await nextTurn();
  assert.equal(fetches.length, 2);
  assert.deepEqual([sentDown(), sentUp()], [["ns.b: deny"], []]);
});

test("a plugin that traps is asked for again, refused with the reason, and accepted with its next version", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  for (const name of ["ns.a", "ns.b"]) await fetchOf(name).succeed();
  for (const sent of down) ack(sent);
  trap("ns.a");
  trap("ns.a");
  assert.deepEqual(
    up.slice(1).map(({ responseNonce, resourceNamesSubscribe }) => [responseNonce, resourceNamesSubscribe]),
    [["", ["ns.a"]]],
  );
  respond("2", [plugin("ns.a")]);
  await fetchOf("ns.a").succeed();
  ack(down[2]!);
  respond("3", [plugin("ns.a", "v2")]);
  await fetchOf("ns.a").succeed();
  ack(down[3]!);
  assert.deepEqual(sentUp().slice(2), [
    "2 ns.a: Function: proxy_on_log failed: unreachable; no more",
    // What a newer version overtakes is nobody's concern.
    "2 ok",
    "3 ok",
  ]);
  trap("ns.a");
  assert.deepEqual(up.at(-1)!.resourceNamesSubscribe, ["ns.a"]);
});

test("a trap is nothing new of what Envoy does not run, or discovery does not know", async () => {
  respond("1", [plugin("ns.a")]);
  trap("ns.a");
  await fetches[0]!.succeed();
  trap("ns.a");
  trap("ns.b");
  ack(down[0]!);
  assert.deepEqual(sentUp(), ["1 ok"]);
});
test("a NACK says for each plugin why, for programs too", async () => {
  respond("1", [plugin("ns.a"), plugin("ns.b")]);
  for (const fetch of fetches) await fetch.succeed();
  nack(down[0]!, "bad a");
  ack(down[1]!);
  assert.deepEqual(readRefusal(up[0]!.errorDetail)?.reasons, new Map([["ns.a", "bad a"]]));
});

test("a gateway that says for each resource why is understood", async () => {
  respond("1", [plugin("ns.a")]);
  for (const fetch of fetches) await fetch.succeed();
  request({ responseNonce: down[0]!.nonce, errorDetail: refusalStatus(new Map([["ns.a", "bad a"]])) });
  assert.deepEqual(readRefusal(up[0]!.errorDetail)?.reasons, new Map([["ns.a", "bad a"]]));
});

/** A chain of plugins. */
const chain = (...plugins: readonly XdsResource[]) => filterChainResource("chain", plugins);

/** What Envoy would run of each chain that it got. */
const chainsDown = () =>
  down.map(({ resources: [resource] }) => {
    const { name, version, resource: any } = resource!;
    const filters = readFilterChain({ name, version, typeUrl: any!.typeUrl, value: any!.value })!;
    return filters
      .map((filter) => `${filter.name} ${inShort(toBinary(TypedExtensionConfigSchema, filter))}`)
      .map((form) => form.replace(/^ns\.| at .*/g, ""))
      .join(", ");
  });

/** A chain that Envoy has. */
async function acceptChain(...plugins: readonly XdsResource[]): Promise<void> {
  respond("0", [chain(...plugins)]);
  for (const fetch of [...fetches]) await fetch.succeed();
  await nextTurn();
  ack(down.at(-1)!);
  down.length = 0;
  up.length = 0;
}

test("of a chain that is put together anew while Envoy has not answered only the newest form is sent", async () => {
  await acceptChain(plugin("ns.a"));
  respond("1", [chain(plugin("ns.a"), plugin("ns.b"), plugin("ns.c"), plugin("ns.d"))]);
  await nextTurn();
  assert.deepEqual(chainsDown(), [], "nothing has changed for Envoy yet");
  for (const name of ["ns.b", "ns.c", "ns.d"]) await fetchOf(name).succeed();
  assert.deepEqual(chainsDown(), ["a v1, b v1"]);
  ack(down[0]!);
  assert.deepEqual(chainsDown().slice(1), ["a v1, b v1, c v1, d v1"]);
  assert.deepEqual(sentUp(), []);
  ack(down[1]!);
  assert.deepEqual(sentUp(), ["1 ok"]);
});

test("a plugin of a chain that is still being fetched is told as open, and the rest as in effect", async () => {
  await acceptChain(plugin("ns.a"));
  respond("1", [chain(plugin("ns.a", "v2"), plugin("ns.slow"))]);
  await fetchOf("ns.a").succeed();
  ack(down[0]!);
  assert.deepEqual([chainsDown(), sentUp()], [["a v2"], ["1 ns.slow: is still being fetched"]]);
  await fetchOf("ns.slow").succeed();
  ack(down[1]!);
  assert.deepEqual(sentUp().slice(1), ["1 ok"]);
});

test("two plugins of a chain that Envoy refuses are found one after the other, and then told", async () => {
  await acceptChain(plugin("ns.a"), plugin("ns.b"));
  respond("1", [chain(plugin("ns.a", "v2"), plugin("ns.b", "v2"), plugin("ns.c"))]);
  for (const name of ["ns.b", "ns.a", "ns.c"]) await fetchOf(name).succeed();
  ack(down[0]!);
  nack(down[1]!, "bad ns.a");
  nack(down[2]!, "bad ns.c");
  assert.deepEqual(sentUp(), []);
  ack(down[3]!);
  assert.deepEqual(chainsDown(), [
    "a v1, b v2",
    "a v2, b v2, c v1",
    "a v1, b v2, c v1",
    "a v1, b v2, c deny",
  ]);
  assert.deepEqual(sentUp(), ["1 ns.a: bad ns.a; ns.c: bad ns.c"]);
});

test("a refusal of a chain that Envoy cannot be rid of is told, and it stays with what it has", async () => {
  await acceptChain(plugin("ns.a"));
  respond("1", [chain(plugin("ns.a"), plugin("ns.b"))]);
  await fetchOf("ns.b").succeed();
  nack(down[0]!, "bad ns.a");
  assert.deepEqual([down.length, sentUp()], [1, ["1 ns.b: bad ns.a; ns.a: bad ns.a"]]);
});

test("what waits for Envoy's answer is not overtaken: a plugin that changes its chain is never in none", async () => {
  const first = (...plugins: readonly XdsResource[]) => filterChainResource("first", plugins);
  const second = (...plugins: readonly XdsResource[]) => filterChainResource("second", plugins);
  respond("1", [first(plugin("ns.a")), second(plugin("ns.b"))]);
  for (const fetch of [...fetches]) await fetch.succeed();
  await nextTurn();
  ack(down[0]!);
  respond("2", [second(plugin("ns.a")), first()]);
  await nextTurn();
  assert.deepEqual(chainsDown(), ["a v1", "b v1"], "Envoy has not answered for the second yet");
  ack(down[1]!);
  assert.deepEqual(chainsDown().slice(2), ["a v1", ""]);
});
