import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import {
  type ClientDuplexStream,
  credentials,
  makeGenericClientConstructor,
  Server,
  ServerCredentials,
  type ServerDuplexStream,
  status,
} from "@grpc/grpc-js";
import { createFetches, type Fetch, inShort, pluginResource } from "../../test/peers/plugin-resource.ts";
import { freePort } from "../../test/peers/ports.ts";
import { until } from "../../test/peers/until.ts";
import {
  DeltaDiscoveryRequestSchema,
  DeltaDiscoveryResponseSchema,
  DiscoveryRequestSchema,
  DiscoveryResponseSchema,
  ResourceSchema,
} from "../gen/envoy/service/discovery/v3/discovery_pb.ts";
import { silentLog } from "../log.ts";
import { createWatchable, type Watchable } from "../watchable.ts";
import { adsDefinition, passThroughDefinition } from "../xds/ads.ts";
import { encodeIncremental, encodeStateOfTheWorld } from "../xds/encode.ts";
import { rawResource } from "../xds/snapshot.ts";
import { typeUrls } from "../xds/type-urls.ts";
import { createModuleResolver, type ModuleResolver } from "./resolve-module.ts";
import type { ListenerRewrite } from "./rewrite-listeners.ts";
import { serveXdsProxy } from "./xds-proxy.ts";

type Method = keyof typeof passThroughDefinition;
type Upstream = ServerDuplexStream<Buffer, Buffer>;
type Downstream = ClientDuplexStream<Buffer, Buffer>;
type Envoy = Record<Method, () => Downstream> & { close(): void };

const methods = Object.keys(passThroughDefinition) as Method[];
const EnvoyClient = makeGenericClientConstructor(passThroughDefinition, "AggregatedDiscoveryService");

let directory: string;
let socket: string;
let port: number;
let fetches: Fetch[];
let resolver: ModuleResolver;
let agent: AbortController;
let listenerRewrite: Watchable<ListenerRewrite>;
let envoy: Envoy;
let discovery: Server | undefined;
/** The streams that discovery has got. */
let upstreams: Upstream[];

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), "xds-proxy-"));
  socket = join(directory, "xds.sock");
  port = await freePort();
  const source = createFetches();
  fetches = source.fetches;
  resolver = createModuleResolver(source.fetchModule, silentLog);
  agent = new AbortController();
  const target = `127.0.0.1:${port}`;
  listenerRewrite = createWatchable();
  const { signal } = agent;
  await serveXdsProxy({ target, socket, resolver, listenerRewrite, log: silentLog, signal });
  envoy = new EnvoyClient(`unix:${socket}`, credentials.createInsecure()) as unknown as Envoy;
  await startDiscovery();
});
afterEach(() => {
  envoy.close();
  agent.abort();
  discovery?.forceShutdown();
  rmSync(directory, { recursive: true });
});

/** A discovery that does what the test does with its streams. */
async function startDiscovery(): Promise<void> {
  const server = new Server();
  upstreams = [];
  const take = (call: Upstream) => {
    call.on("error", () => {});
    upstreams.push(call);
  };
  server.addService(passThroughDefinition, Object.fromEntries(methods.map((method) => [method, take])));
  await new Promise<void>((resolve, reject) => {
    const bound = (error: Error | null) => (error ? reject(error) : resolve());
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), bound);
  });
  discovery = server;
}

interface Stream {
  readonly down: Downstream;
  readonly up: Upstream;
  /** What each side has received. */
  readonly atEnvoy: Buffer[];
  readonly atDiscovery: Buffer[];
  /** The code with which Envoy's side ended. */
  readonly ended: Promise<status>;
}

/** Opens a stream of Envoy, anew for as long as it does not reach discovery, and finds it there. */
async function open(method: Method): Promise<Stream> {
  const before = upstreams.length;
  let call = openDown(method);
  const up = await until("discovery has the stream", () => {
    if (call.isOver()) call = openDown(method);
    return upstreams[before];
  });
  const atDiscovery: Buffer[] = [];
  up.on("data", (bytes: Buffer) => atDiscovery.push(bytes));
  return { ...call, up, atDiscovery };
}

function openDown(method: Method) {
  const down = envoy[method]();
  const atEnvoy: Buffer[] = [];
  let isOver = false;
  const ended = new Promise<status>((resolve) => {
    down.on("status", ({ code }) => {
      isOver = true;
      resolve(code);
    });
  });
  down.on("data", (bytes: Buffer) => atEnvoy.push(bytes)).on("error", () => {});
  return { down, atEnvoy, ended, isOver: () => isOver };
}

/** A message as some other program encodes it: the type last, behind fields that no schema here knows. */
function foreignMessage(method: Method, kind: "request" | "response", typeUrl: string): Buffer {
  const field = kind === "request" && method === "deltaAggregatedResources" ? 2 : 4;
  const unknown = [0xfa, 0x3e, 3, 1, 2, 3];
  const empty = [0x0a, 0];
  return Buffer.from([...unknown, ...empty, (field << 3) | 2, typeUrl.length, ...Buffer.from(typeUrl)]);
}

const others = [
  ...Object.values(typeUrls).filter((typeUrl) => typeUrl !== typeUrls.extensionConfig),
  "type.googleapis.com/istio.networking.nds.v1.NameTable",
  "type.googleapis.com/envoy.service.runtime.v3.Runtime",
  "",
];

for (const method of methods) {
  test(`${method}: every type but ECDS passes byte for byte, in both directions and in order`, async () => {
    const { down, up, atEnvoy, atDiscovery } = await open(method);
    const requests = others.map((typeUrl) => foreignMessage(method, "request", typeUrl));
    const responses = others.map((typeUrl) => foreignMessage(method, "response", typeUrl));
    for (const bytes of requests) down.write(bytes);
    for (const bytes of responses) up.write(bytes);
    await until(
      "all have arrived",
      () => atEnvoy.length === others.length && atDiscovery.length === others.length,
    );
    assert.deepEqual(atDiscovery, requests);
    assert.deepEqual(atEnvoy, responses);
  });

  test(`${method}: a first request for ECDS passes`, async () => {
    const { down, atDiscovery } = await open(method);
    const request = foreignMessage(method, "request", typeUrls.extensionConfig);
    down.write(request);
    const arrived = await until("it has arrived", () => atDiscovery[0]);
    assert.equal(arrived.includes(typeUrls.extensionConfig), true);
  });

  test(`${method}: an ECDS response waits for its module, and nothing else does`, async () => {
    const { up, atEnvoy } = await open(method);
    const other = foreignMessage(method, "response", typeUrls.listener);
    up.write(ecdsResponse(method));
    up.write(other);
    await until("the other has arrived", () => atEnvoy.length === 1);
    assert.deepEqual(atEnvoy, [other]);
    await fetches[0]!.succeed("/modules/1.wasm");
    const arrived = await until("it has arrived", () => atEnvoy[1]);
    assert.deepEqual(inEcds(method, arrived), ["{} at /modules/1.wasm"]);
  });

  test(`${method}: when Envoy goes, so does the stream to discovery, and what was being fetched`, async () => {
    const { down, up } = await open(method);
    up.write(ecdsResponse(method));
    const fetch = await until("a module is asked for", () => fetches[0]);
    down.cancel();
    await until("discovery's stream has ended", () => up.cancelled);
    assert.equal(fetch.signal.aborted, true);
  });

  test(`${method}: when discovery goes, Envoy is told that it is unavailable, and finds the next one`, async () => {
    const { ended, up } = await open(method);
    up.write(ecdsResponse(method));
    const fetch = await until("a module is asked for", () => fetches[0]);
    discovery?.forceShutdown();
    assert.equal(await ended, status.UNAVAILABLE);
    assert.equal(fetch.signal.aborted, true);
    await startDiscovery();
    const again = await open(method);
    const response = foreignMessage(method, "response", typeUrls.cluster);
    again.up.write(response);
    await until("a response has arrived", () => again.atEnvoy.length === 1);
    assert.deepEqual(again.atEnvoy, [response]);
  });

  test(`${method}: a discovery that ends the stream in peace is unavailable too`, async () => {
    const { ended, up } = await open(method);
    up.end();
    assert.equal(await ended, status.UNAVAILABLE);
  });

  test(`${method}: a message that cannot be read ends its stream, and no other`, async () => {
    const broken = await open(method);
    const healthy = await open(method);
    broken.up.write(Buffer.from([0xff, 0xff, 0xff]));
    assert.equal(await broken.ended, status.UNAVAILABLE);
    const response = foreignMessage(method, "response", typeUrls.routes);
    healthy.up.write(response);
    await until("a response has arrived", () => healthy.atEnvoy.length === 1);
    assert.deepEqual(healthy.atEnvoy, [response]);
  });
}

function ecdsResponse(method: Method): Buffer {
  const { name, version, typeUrl, value } = pluginResource();
  const any = create(AnySchema, { typeUrl, value });
  const shared = { typeUrl: typeUrls.extensionConfig, nonce: "1" };
  if (method === "streamAggregatedResources")
    return Buffer.from(
      toBinary(DiscoveryResponseSchema, create(DiscoveryResponseSchema, { ...shared, resources: [any] })),
    );
  const resources = [create(ResourceSchema, { name, version, resource: any })];
  return Buffer.from(
    toBinary(DeltaDiscoveryResponseSchema, create(DeltaDiscoveryResponseSchema, { ...shared, resources })),
  );
}

/** What Envoy would run of the plugins in an ECDS response. */
function inEcds(method: Method, bytes: Buffer): string[] {
  if (method === "streamAggregatedResources")
    return fromBinary(DiscoveryResponseSchema, bytes).resources.map(({ value }) => inShort(value));
  return fromBinary(DeltaDiscoveryResponseSchema, bytes).resources.map(({ resource }) =>
    inShort(resource!.value),
  );
}

for (const method of methods) {
  test(`${method}: without a discovery Envoy waits, and its requests arrive when there is one`, async () => {
    discovery?.forceShutdown();
    const { down } = openDown(method);
    const request = foreignMessage(method, "request", typeUrls.listener);
    down.write(request);
    await startDiscovery();
    const up = await until("discovery has the stream", () => upstreams[0]);
    const arrived = once(up, "data");
    assert.deepEqual((await arrived)[0], request);
  });

  test(`${method}: while discovery is away Envoy is answered with what it said, modules and all, until it is back`, async () => {
    const { down, up, atEnvoy, atDiscovery, ended } = await open(method);
    const said = [
      response(method, typeUrls.cluster, ["a", "b"]),
      response(method, typeUrls.endpoints, ["a", "b"]),
      response(method, typeUrls.listener, ["l"]),
      response(method, typeUrls.routes, ["r", "not asked for any more"]),
    ];
    for (const bytes of [...said, ecdsResponse(method)]) up.write(bytes);
    await (await until("a module is asked for", () => fetches[0])).succeed("/modules/1.wasm");
    await until("all of it is at Envoy", () => atEnvoy.length === 5);
    down.write(narrowed(method, typeUrls.routes, ["r"], ["not asked for any more"]));
    await until("discovery knows what Envoy wants", () => atDiscovery.length > 0);
    discovery?.forceShutdown();
    await ended;

    const again = openDown(method);
    for (const [typeUrl, names] of [
      [typeUrls.cluster, []],
      [typeUrls.listener, []],
      [typeUrls.endpoints, ["b"]],
      [typeUrls.routes, ["r", "not asked for any more"]],
      [typeUrls.extensionConfig, [pluginResource().name]],
    ] as const)
      again.down.write(subscription(method, typeUrl, names));
    await (await until("the module is asked for", () => fetches[1])).succeed("/modules/1.wasm");
    await until("all is answered", () => again.atEnvoy.length === 5);
    const answers = again.atEnvoy.map((bytes) => namesIn(method, bytes));
    assert.deepEqual(answers, [["a", "b"], ["l"], ["b"], ["r"], [pluginResource().name]]);
    assert.deepEqual(inEcds(method, again.atEnvoy[4]!), ["{} at /modules/1.wasm"]);

    await startDiscovery();
    assert.equal(await again.ended, status.OK);
    const reached = await open(method);
    reached.up.write(said[0]!);
    await until("discovery answers", () => reached.atEnvoy.length === 1);
  });
}

for (const method of methods) {
  test(`${method}: listeners that Envoy has are asked for anew when they are to be rewritten`, async () => {
    const first = await open(method);
    first.up.write(response(method, typeUrls.listener, ["l"]));
    await until("the listener is there", () => first.atEnvoy.length === 1);
    assert.deepEqual(namesIn(method, first.atEnvoy[0]!), ["l"]);
    listenerRewrite.set((value) => Buffer.from(value).fill("L", 2));
    assert.equal(await first.ended, status.OK);

    const { down, up, atEnvoy, atDiscovery } = await open(method);
    for (const version of ["1", "2+rewritten"]) down.write(known(method, typeUrls.listener, version));
    down.write(known(method, typeUrls.cluster, "1"));
    await until("discovery has been asked", () => atDiscovery.length === 3);
    assert.deepEqual(
      atDiscovery.map((bytes) => versionIn(method, bytes)),
      ["", "2", "1"],
    );
    for (const typeUrl of [typeUrls.listener, typeUrls.cluster]) up.write(response(method, typeUrl, ["l"]));
    await until("both have arrived", () => atEnvoy.length === 2);
    assert.deepEqual(
      atEnvoy.map((bytes) => valuesIn(method, bytes)),
      [["L"], ["l"]],
    );
  });
}

/** What Envoy says of a resource `l` that it has, when it connects again. */
function known(method: Method, typeUrl: string, version: string): Buffer {
  return method === "deltaAggregatedResources"
    ? adsDefinition[method].requestSerialize(
        create(DeltaDiscoveryRequestSchema, { typeUrl, initialResourceVersions: { l: version } }),
      )
    : adsDefinition[method].requestSerialize(
        create(DiscoveryRequestSchema, { typeUrl, versionInfo: version }),
      );
}

/** The version that a request says. */
function versionIn(method: Method, bytes: Buffer): string {
  if (method === "deltaAggregatedResources")
    return adsDefinition[method].requestDeserialize(bytes).initialResourceVersions.l ?? "";
  return adsDefinition[method].requestDeserialize(bytes).versionInfo;
}

/** A response with resources that are nothing but their names. */
function response(method: Method, typeUrl: string, names: readonly string[]): Buffer {
  const resources = names.map((name) =>
    rawResource(name, typeUrl, Buffer.from([0x0a, name.length, ...Buffer.from(name)])),
  );
  const fields = { typeUrl, version: "1", nonce: typeUrl, resources };
  return method === "deltaAggregatedResources"
    ? encodeIncremental({ ...fields, removed: [] })
    : encodeStateOfTheWorld(fields);
}

function subscription(method: Method, typeUrl: string, names: readonly string[]): Buffer {
  const node = { id: "test" };
  return method === "deltaAggregatedResources"
    ? adsDefinition[method].requestSerialize(
        create(DeltaDiscoveryRequestSchema, { typeUrl, node, resourceNamesSubscribe: [...names] }),
      )
    : adsDefinition[method].requestSerialize(
        create(DiscoveryRequestSchema, { typeUrl, node, resourceNames: [...names] }),
      );
}

/** What Envoy says when it wants less than before. */
function narrowed(
  method: Method,
  typeUrl: string,
  wanted: readonly string[],
  dropped: readonly string[],
): Buffer {
  return method === "deltaAggregatedResources"
    ? adsDefinition[method].requestSerialize(
        create(DeltaDiscoveryRequestSchema, { typeUrl, resourceNamesUnsubscribe: [...dropped] }),
      )
    : subscription(method, typeUrl, wanted);
}

function namesIn(method: Method, bytes: Buffer): string[] {
  if (method === "deltaAggregatedResources")
    return adsDefinition[method].responseDeserialize(bytes).resources.map(({ name }) => name);
  return valuesIn(method, bytes);
}

/** The names within the resources of a response. */
function valuesIn(method: Method, bytes: Buffer): string[] {
  const values =
    method === "deltaAggregatedResources"
      ? adsDefinition[method].responseDeserialize(bytes).resources.map(({ resource }) => resource!.value)
      : adsDefinition[method].responseDeserialize(bytes).resources.map(({ value }) => value);
  return values.map((value) => Buffer.from(value.subarray(2, 2 + value[1]!)).toString());
}

test("the socket is its owner's alone, and takes the place of one that was left behind", async () => {
  assert.equal(statSync(socket).mode & 0o777, 0o600);
  const stale = join(directory, "stale.sock");
  writeFileSync(stale, "");
  await serveXdsProxy({
    target: `127.0.0.1:${port}`,
    socket: stale,
    resolver,
    log: silentLog,
    signal: agent.signal,
  });
  assert.equal(statSync(stale).isSocket(), true);
});

test("a socket that cannot be made is an error that names it", async () => {
  const nowhere = join(directory, "no", "xds.sock");
  await assert.rejects(
    serveXdsProxy({
      target: `127.0.0.1:${port}`,
      socket: nowhere,
      resolver,
      log: silentLog,
      signal: agent.signal,
    }),
    { name: "SystemError", code: "xds", message: new RegExp(`cannot listen on ${nowhere}`) },
  );
});

test("the signal ends the streams", async () => {
  const { ended, up } = await open("deltaAggregatedResources");
  agent.abort();
  assert.notEqual(await ended, status.OK);
  await until("discovery's stream has ended", () => up.cancelled);
});
