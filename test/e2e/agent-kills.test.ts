import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { NodeSchema } from "../../src/gen/envoy/config/core/v3/base_pb.ts";
import { DeltaDiscoveryRequestSchema } from "../../src/gen/envoy/service/discovery/v3/discovery_pb.ts";
import { silentLog } from "../../src/log.ts";
import { sha256Hex } from "../../src/oci/digest.ts";
import { temporaryName } from "../../src/oci/write-file.ts";
import { createWatchable } from "../../src/watchable.ts";
import { openAdsChannel } from "../../src/xds/client.ts";
import { listenXds } from "../../src/xds/listen.ts";
import { createXdsServer } from "../../src/xds/server.ts";
import { createSnapshot, createSnapshotType, rawResource, type Snapshot } from "../../src/xds/snapshot.ts";
import { typeUrls } from "../../src/xds/type-urls.ts";
import { type DockerRegistry, startDockerRegistry } from "../peers/docker-registry.ts";
import { handMadeModule } from "../peers/hand-made-module.ts";
import { inShort, pluginResource } from "../peers/plugin-resource.ts";
import { type Program, startWasmline } from "../peers/program.ts";
import { pushImage } from "../peers/push-image.ts";
import { largeModule } from "../peers/tiny-module.ts";
import { until } from "../peers/until.ts";
import { type WatchedRegistry, watchRegistry } from "../peers/watched-registry.ts";

const kills = 50;
/** New images at each start of the agent; those of the starts before are asked for again. */
const imagesAtOnce = 3;
const imageCount = (kills + 1) * imagesAtOnce;

interface Image {
  readonly plugin: string;
  readonly tag: string;
  readonly wasm: Uint8Array;
  /** The SHA-256 of the module. */
  readonly digest: string;
}

const images: readonly Image[] = Array.from({ length: imageCount }, (_, index) => {
  const noise = largeModule(String(index), 256 << 10).subarray(8);
  const wasm = Buffer.concat([handMadeModule(), noise]);
  return { plugin: `ns.p${index}`, tag: `t${index}`, wasm, digest: sha256Hex(wasm) };
});

let root: string;
let behind: DockerRegistry;
let registry: WatchedRegistry;
let discoveryPort: number;
const discovery = new AbortController();

before(async () => {
  root = await mkdtemp(join(tmpdir(), "agent-kills-"));
  behind = await startDockerRegistry();
  registry = await watchRegistry(behind.host);
  for (const { tag, wasm } of images)
    await pushImage(behind.host, { repository: "plugins/a", tag, layer: wasm });
  const resources = images.map(({ plugin, tag }) => {
    const { name, typeUrl, value } = pluginResource({
      name: plugin,
      url: `oci://${registry.host}/plugins/a:${tag}`,
    });
    return rawResource(name, typeUrl, value);
  });
  const snapshot = createWatchable<Snapshot>();
  snapshot.set(createSnapshot([createSnapshotType(typeUrls.extensionConfig, resources)]));
  const server = createXdsServer({ snapshotFor: () => snapshot, log: silentLog });
  discoveryPort = await listenXds(server, "127.0.0.1", 0, discovery.signal);
});
after(async () => {
  discovery.abort();
  await registry.stop();
  await behind.stop();
  await rm(root, { recursive: true });
});

const dataDir = () => join(root, "data");
const layersAsked = ({ digest }: Image) => registry.asked.get(`GET blobs/sha256:${digest}`) ?? 0;

const allAsked = () => [...registry.asked.values()].reduce((sum, count) => sum + count, 0);

/** Starts the agent of somebody else's gateway, and waits until that can connect. */
async function startAgent(): Promise<Program> {
  const agent = startWasmline([
    ...["agent", "--no-envoy", "--discovery", `127.0.0.1:${discoveryPort}`],
    ...["--data-dir", dataDir(), "--agent-port", "0", "--log-level", "error"],
  ]);
  const socket = join(dataDir(), "xds.sock");
  await until("the agent serves", () => canConnect(socket)).catch((error) => {
    throw new Error(`the agent does not serve: ${agent.stderr()}`, { cause: error });
  });
  return agent;
}

function canConnect(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** Asks the agent for the filters of images, as a gateway does. */
function subscribe(wanted: readonly Image[]) {
  const channel = openAdsChannel(`unix:${join(dataDir(), "xds.sock")}`);
  const stream = channel.deltaAggregatedResources();
  const received = new Map<string, string>();
  const { extensionConfig: typeUrl } = typeUrls;
  stream
    .on("error", () => undefined)
    .on("data", ({ nonce, resources }) => {
      for (const { name, resource } of resources) received.set(name, inShort(resource!.value));
      stream.write(create(DeltaDiscoveryRequestSchema, { typeUrl, responseNonce: nonce }));
    });
  const resourceNamesSubscribe = wanted.map(({ plugin }) => plugin);
  const node = create(NodeSchema, { id: "router~127.0.0.1~gateway.ns~ns.svc.cluster.local" });
  stream.write(create(DeltaDiscoveryRequestSchema, { node, typeUrl, resourceNamesSubscribe }));
  return { received, close: () => channel.close() };
}

async function untilReceived(received: ReadonlyMap<string, string>, wanted: readonly Image[]): Promise<void> {
  await until("all modules are there", () => wanted.every(({ plugin }) => received.has(plugin)));
  for (const { plugin, digest } of wanted)
    assert.match(received.get(plugin)!, new RegExp(`${digest}\\.wasm$`));
}

/** What is in the cache's directory: the digests of modules, each of which is whole, and the names of leftovers. */
async function lookAtCache() {
  const directory = join(dataDir(), "modules");
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
  const stored = new Set<string>();
  for (const file of files.filter((name) => name.endsWith(".wasm"))) {
    const digest = sha256Hex(await readFile(file));
    assert(file.endsWith(`/${digest}.wasm`), `${file} holds ${digest}`);
    stored.add(digest);
  }
  const index = files.find((name) => name.endsWith("/index.json"));
  if (index) assert.equal(JSON.parse(await readFile(index, "utf8")).version, 1);
  const leftovers = files.filter((name) => temporaryName.test(name));
  assert.equal(files.length, stored.size + leftovers.length + (index ? 1 : 0), files.join());
  return { stored, leftovers };
}

test(`an agent that is killed at ${kills} moments of its pulls keeps what it has, and nothing else`, async (t) => {
  // How long the pulls of one start take, so that the kills are spread over them.
  let agent = await startAgent();
  const first = images.slice(0, imagesAtOnce);
  const began = performance.now();
  const warm = subscribe(first);
  await untilReceived(warm.received, first);
  const pullMs = performance.now() - began;
  warm.close();
  await agent.stop("SIGKILL");

  /** By the digest of a module that was stored: how often its layer had been asked for by then. */
  const paid = new Map<string, number>();
  const seen = { leftovers: 0, unfinished: 0 };
  let { leftovers } = await lookAtCache();
  for (let round = 1; round <= kills; round++) {
    agent = await startAgent();
    const wanted = images.slice(Math.max(0, round - 2) * imagesAtOnce, (round + 1) * imagesAtOnce);
    const asked = allAsked();
    const gateway = subscribe(wanted);
    await pause((pullMs * 2.5 * (round - Math.random())) / kills);
    await agent.stop("SIGKILL");
    gateway.close();
    const found = await lookAtCache();
    // Whoever asked the registry has opened the cache before.
    if (allAsked() > asked)
      assert(!leftovers.some((name) => found.leftovers.includes(name)), leftovers.join());
    leftovers = found.leftovers;
    seen.leftovers += leftovers.length;
    seen.unfinished += wanted.filter(({ digest }) => !found.stored.has(digest)).length;
    for (const image of images.filter(({ digest }) => found.stored.has(digest))) {
      const before = paid.get(image.digest);
      if (before === undefined) paid.set(image.digest, layersAsked(image));
      else assert.equal(layersAsked(image), before, `${image.tag} was pulled again in round ${round}`);
    }
  }

  agent = await startAgent();
  const gateway = subscribe(images);
  await untilReceived(gateway.received, images);
  gateway.close();
  assert.equal(await agent.stop("SIGTERM"), 0);
  for (const image of images) {
    const before = paid.get(image.digest);
    if (before !== undefined)
      assert.equal(layersAsked(image), before, `${image.tag} was pulled again at the end`);
  }
  assert.deepEqual(await lookAtCache(), {
    stored: new Set(images.map(({ digest }) => digest)),
    leftovers: [],
  });
  t.diagnostic(`a pull took ${pullMs.toFixed()} ms; stored before the end ${paid.size} of ${imageCount}`);
  t.diagnostic(`kills left ${seen.leftovers} half-written files and ${seen.unfinished} pulls not done`);
});
