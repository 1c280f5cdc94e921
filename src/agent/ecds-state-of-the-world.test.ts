import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import { createFetches, type Fetch, inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { TypedExtensionConfigSchema } from "../gen/envoy/config/core/v3/extension_pb.ts";
import {
  type DiscoveryRequest,
  DiscoveryRequestSchema,
  type DiscoveryResponse,
  DiscoveryResponseSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { StatusSchema } from "../gen/google/rpc/status_pb.ts";
import { silentLog } from "../log.ts";
import { readRefusal } from "../xds/refusal.ts";
import { filterChainResource, rawResource, type XdsResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { createStateOfTheWorldSession } from "./ecds-state-of-the-world.ts";
import { createChainResolver } from "./resolve-chain.ts";
import { createModuleResolver, type ModuleResolver } from "./resolve-module.ts";
import { readFilterChain } from "./rewrite.ts";

type Session = ReturnType<typeof createStateOfTheWorldSession>;

let fetches: Fetch[];
let resolver: ModuleResolver;
let stream: AbortController;
let session: Session;
/** What Envoy and discovery were sent. */
let down: DiscoveryResponse[];
let up: DiscoveryRequest[];

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const source = createFetches();
  fetches = source.fetches;
  resolver = createChainResolver(createModuleResolver(source.fetchModule, silentLog));
  stream = new AbortController();
  down = [];
  up = [];
  const [sendDown, sendUp] = [down.push.bind(down), up.push.bind(up)];
  session = createStateOfTheWorldSession({ resolver, sendUp, sendDown, signal: stream.signal });
});
afterEach(() => {
  stream.abort();
  mock.timers.reset();
});

/** Discovery sends the state of the world. Its nonce is its version too. */
function respond(nonce: string, ...resources: readonly XdsResource[]): void {
  const world = resources.map(({ typeUrl, value }) => create(AnySchema, { typeUrl, value }));
  const typeUrl = typeUrls.extensionConfig;
  session.onResponse(
    create(DiscoveryResponseSchema, { typeUrl, nonce, versionInfo: `v${nonce}`, resources: world }),
  );
}

const plugin = (name: string, configuration = "v1") =>
  pluginResource({ name, configuration, url: `oci://registry.example.com/${name}-${configuration}` });

const request = (fields: MessageInitShape<typeof DiscoveryRequestSchema>) =>
  session.onRequest(create(DiscoveryRequestSchema, { typeUrl: typeUrls.extensionConfig, ...fields }));

const names = ["ns.a", "ns.b"];

/** Envoy accepts a response. */
function ack({ nonce, versionInfo }: DiscoveryResponse, resourceNames = names): void {
  request({ responseNonce: nonce, versionInfo, resourceNames });
}

/** Envoy refuses a response; it tells the version that it had before. */
function nack({ nonce }: DiscoveryResponse, message: string): void {
  request({
    responseNonce: nonce,
    versionInfo: "own",
    resourceNames: names,
    errorDetail: create(StatusSchema, { message }),
  });
}

/** What Envoy would run of each response that it got. */
const sentDown = () => down.map(({ resources }) => resources.map(({ value }) => inShort(value)).join(", "));

/** `NONCE VERSION ok`, or the error, for each answer that discovery got. */
const sentUp = () =>
  up.map(
    ({ responseNonce, versionInfo, errorDetail }) =>
      `${responseNonce} ${versionInfo} ${errorDetail?.message ?? "ok"}`,
  );

const fetchOf = (name: string) => fetches.findLast(({ resource }) => resource === name)!;

test("a response goes to Envoy whole, when all its modules are there", async () => {
  respond("1", plugin("ns.a"), plugin("ns.b"));
  await fetchOf("ns.b").succeed();
  assert.deepEqual(sentDown(), []);
  await fetchOf("ns.a").succeed();
  assert.deepEqual(sentDown(), ["v1 at /modules/ns.a-v1.wasm, v1 at /modules/ns.b-v1.wasm"]);
  assert.deepEqual([down[0]?.versionInfo, down[0]?.typeUrl], ["v1", typeUrls.extensionConfig]);
  ack(down[0]!);
  assert.deepEqual(sentUp(), ["1 v1 ok"]);
  assert.deepEqual(up[0]?.resourceNames, names);
});

test("what a newer response has overtaken is never sent", async () => {
  respond("1", plugin("ns.a", "v1"));
  respond("2", plugin("ns.a", "v2"));
  const [first, second] = fetches as [Fetch, Fetch];
  assert.equal(first.signal.aborted, true);
  await second.succeed();
  await first.succeed();
  assert.deepEqual(sentDown(), ["v2 at /modules/ns.a-v2.wasm"]);
});

test("a module that fails has its substitute at once, and is a NACK that names it; its late success is an ACK", async () => {
  respond("1", plugin("ns.a"), plugin("ns.b"));
  await fetchOf("ns.a").fail();
  await fetchOf("ns.b").succeed();
  ack(down[0]!);
  assert.deepEqual(sentDown(), ["deny, v1 at /modules/ns.b-v1.wasm"]);
  assert.deepEqual(sentUp(), ["1  ns.a: cannot fetch oci://registry.example.com/ns.a-v1: no such image"]);
  mock.timers.tick(1000);
  await nextTurn();
  await fetchOf("ns.a").succeed();
  ack(down[1]!);
  assert.deepEqual(sentDown().slice(1), ["v1 at /modules/ns.a-v1.wasm, v1 at /modules/ns.b-v1.wasm"]);
  assert.deepEqual(sentUp().slice(1), ["1 v1 ok"]);
});

/** Both plugins in version v1, accepted. */
async function acceptFirst(): Promise<void> {
  respond("1", plugin("ns.a"), plugin("ns.b"));
  for (const fetch of [...fetches]) await fetch.succeed();
  ack(down[0]!);
}

/** Both plugins in version v2, at Envoy. */
async function sendSecond(): Promise<void> {
  respond("2", plugin("ns.a", "v2"), plugin("ns.b", "v2"));
  for (const fetch of fetches.slice(-2)) await fetch.succeed();
}

test("a NACK carries the version that was accepted, and what Envoy's error names gets what it had before", async () => {
  await acceptFirst();
  await sendSecond();
  nack(down[1]!, "cannot create plugin ns.a");
  assert.deepEqual(sentDown().slice(2), ["v1 at /modules/ns.a-v1.wasm, v2 at /modules/ns.b-v2.wasm"]);
  ack(down[2]!);
  assert.deepEqual(sentUp(), ["1 v1 ok", "2 v1 ns.a: cannot create plugin ns.a"]);
});

test("where Envoy's error names no plugin, all get what they had before", async () => {
  await acceptFirst();
  await sendSecond();
  nack(down[1]!, "something is wrong");
  assert.deepEqual(sentDown()[2], sentDown()[0]);
  ack(down[2]!);
  assert.deepEqual(sentUp().slice(1), ["2 v1 ns.a: something is wrong; ns.b: something is wrong"]);
});

test("what stands in for refused resources is not followed by anything if it is refused", async () => {
  respond("1", plugin("ns.a"));
  await fetches[0]!.succeed();
  nack(down[0]!, "bad");
  nack(down[1]!, "worse");
  assert.deepEqual(sentDown().slice(1), ["deny"]);
  assert.equal(down.length, 2);
});

test("changes of the names pass, also while a substitute is accepted", async () => {
  await acceptFirst();
  await sendSecond();
  nack(down[1]!, "cannot create plugin ns.a");
  ack(down[2]!, [...names, "ns.c"]);
  assert.deepEqual(up.at(-1)?.resourceNames, [...names, "ns.c"]);
  request({ resourceNames: ["ns.a"], responseNonce: "unknown" });
  assert.deepEqual(up.at(-1)?.resourceNames, ["ns.a"]);
});

test("a plugin that Envoy does not ask for any more holds up no response, and is forgotten", async () => {
  request({ resourceNames: names });
  respond("1", plugin("ns.a"), plugin("ns.b"));
  await fetchOf("ns.b").succeed();
  request({ resourceNames: ["ns.b"] });
  assert.equal(fetchOf("ns.a").signal.aborted, true);
  assert.deepEqual(sentDown(), ["v1 at /modules/ns.b-v1.wasm"]);
  assert.deepEqual(
    resolver.plugins().map(({ name }) => name),
    ["ns.b"],
  );
});

test("what cannot be read, and what is empty, passes", () => {
  respond("1");
  ack(down[0]!);
  const unreadable = rawResource("", typeUrls.extensionConfig, Uint8Array.of(0xff));
  respond("2", unreadable);
  assert.deepEqual(
    down.map(({ resources }) => resources.map(({ value }) => [...value])),
    [[], [[0xff]]],
  );
});

test("the end of the stream ends what is being fetched", async () => {
  respond("1", plugin("ns.a"), plugin("ns.b"));
  await fetchOf("ns.b").fail();
  stream.abort();
  assert.equal(fetchOf("ns.a").signal.aborted, true);
  await fetchOf("ns.a").succeed();
  mock.timers.tick(60_000);
  await nextTurn();
  assert.deepEqual([fetches.length, down.length, up.length], [2, 0, 0]);
});

test("a NACK says for each plugin why, for programs too", async () => {
  await acceptFirst();
  respond("2", plugin("ns.a", "v2"), plugin("ns.b", "v2"));
  for (const fetch of fetches.slice(2)) await fetch.succeed();
  nack(down.at(-1)!, "bad ns.b");
  assert.deepEqual(readRefusal(up.at(-1)!.errorDetail)?.reasons, new Map([["ns.b", "bad ns.b"]]));
});

const chain = (name: string, ...plugins: readonly XdsResource[]) => filterChainResource(name, plugins);

/** What Envoy would run of all chains of each response that it got. */
const chainsDown = () =>
  down.map(({ resources }) =>
    resources
      .flatMap(({ typeUrl, value }) => readFilterChain({ name: "", version: "", typeUrl, value })!)
      .map((filter) => `${filter.name} ${inShort(toBinary(TypedExtensionConfigSchema, filter))}`)
      .map((form) => form.replace(/^ns\.| at .*/g, ""))
      .join(", "),
  );

/** Two chains of one plugin each, accepted. */
async function acceptChains(): Promise<void> {
  names.splice(0, 2, "first", "second");
  respond("1", chain("first", plugin("ns.a")), chain("second", plugin("ns.b")));
  for (const fetch of [...fetches]) await fetch.succeed();
  await nextTurn();
  ack(down[0]!);
  assert.deepEqual(chainsDown(), ["a v1, b v1"]);
}

test("a plugin of one chain that is being fetched holds up no other chain", async () => {
  await acceptChains();
  respond("2", chain("first", plugin("ns.a"), plugin("ns.slow")), chain("second", plugin("ns.b", "v2")));
  await nextTurn();
  assert.equal(down.length, 1, "nothing has changed for Envoy yet");
  await fetchOf("ns.b").succeed();
  ack(down[1]!);
  assert.deepEqual(
    [chainsDown()[1], sentUp().at(-1)],
    ["a v1, b v2", "2 v1 ns.slow: is still being fetched"],
  );
  await fetchOf("ns.slow").succeed();
  ack(down[2]!);
  assert.deepEqual([chainsDown()[2], sentUp().at(-1)], ["a v1, slow v1, b v2", "2 v2 ok"]);
});

test("of chains that Envoy refuses the named plugin goes back, and discovery is told when the rest is in effect", async () => {
  await acceptChains();
  respond("2", chain("first", plugin("ns.a", "v2")), chain("second", plugin("ns.b", "v2")));
  for (const name of ["ns.b", "ns.a"]) await fetchOf(name).succeed();
  ack(down[1]!);
  nack(down[2]!, "Unable to create Wasm plugin ns.a");
  assert.equal(up.length, 1);
  ack(down[3]!);
  assert.deepEqual(chainsDown().slice(1), ["a v1, b v2", "a v2, b v2", "a v1, b v2"]);
  assert.deepEqual(sentUp().slice(1), ["2 v1 ns.a: Unable to create Wasm plugin ns.a"]);
});
