import { parentPort, workerData } from "node:worker_threads";
import { fromBinary } from "@bufbuild/protobuf";
import { WasmSchema } from "../../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { attachStores } from "../../proxy-wasm/index.ts";
import type { Recording, RecordingWish } from "../../proxy-wasm/recording.ts";
import { createWatchable } from "../../watchable.ts";
import { emptyConfig } from "../apply-response.ts";
import { startGateway } from "../gateway.ts";
import type { GatewayConfig } from "../gateway-config.ts";
import { openListeners, takeSnapshot } from "../gateway-snapshot.ts";
import { createPluginRegistry } from "../plugin-registry.ts";
import { withoutZeros } from "../stats/stats-snapshot.ts";
import { startBeat } from "./beat.ts";
import { applyUpdates } from "./config-updates.ts";
import { createMainModules } from "./main-modules.ts";
import type { MainMessage, Preparation, WorkerMessage, WorkerRequest, WorkerStart } from "./messages.ts";
import { createPostedLog } from "./posted-log.ts";
import { bySameContent } from "./same-content.ts";
import { toWire } from "./wire-error.ts";

// A thread that serves traffic beside others on the same ports.

const port = parentPort!;
const start = workerData as WorkerStart;
const post = (message: WorkerMessage) => port.postMessage(message);
const ended = new AbortController();
const beat = startBeat(start.beat, start.beatMs, (id, name) => post({ kind: "plugin", id, name }));
const modules = createMainModules(post);
const config = createWatchable<GatewayConfig>(emptyConfig);
const claims = new Map<number, AbortController>();
const wishes = new Map<number, AbortController>();
const gateway = startGateway({
  config,
  log: createPostedLog(post),
  onPluginTrap: (plugin, reason) => post({ kind: "trap", plugin, reason }),
  signal: ended.signal,
  drainMs: start.drainMs,
  maxConnections: start.maxConnections,
  stores: attachStores(start.stores),
  pluginLogLevel: start.pluginLogLevel,
  sharePorts: true,
  heartbeat: beat.guests,
  createPlugins: (host, words) => bySameContent(createPluginRegistry(host, words, modules)),
});

port.on("message", (message: MainMessage) => {
  switch (message.kind) {
    case "request":
      return void answer(message.id, message.request);
    case "module":
      return modules.onModule(message.id, message.module);
    case "no-module":
      return modules.onNoModule(message.id, message.error);
    case "release":
      claims.get(message.claim)?.abort();
      claims.delete(message.claim);
      return;
    case "disarm":
      return wishes.get(message.id)?.abort();
    case "stop":
      return ended.abort();
  }
});

void gateway.closed.then(() => {
  postCounted();
  beat.stop();
  port.close();
});

async function answer(id: number, request: WorkerRequest): Promise<void> {
  try {
    if (request.kind === "record") {
      post({ kind: "recorded", id, recording: await record(id, request.wish) });
      return;
    }
    await carryOut(request);
    post({ kind: "answer", id });
  } catch (error) {
    post({ kind: "failure", id, error: toWire(error) });
  }
}

async function record(id: number, wish: RecordingWish): Promise<Recording> {
  const until = new AbortController();
  wishes.set(id, until);
  return gateway.record(wish, until.signal).finally(() => wishes.delete(id));
}

async function carryOut(request: WorkerRequest): Promise<void> {
  if (request.kind === "apply") {
    config.set(applyUpdates(config.value ?? emptyConfig, request.updates));
    await gateway.settled();
    post({ kind: "open", listeners: openListeners(gateway.listeners) });
  } else if (request.kind === "snapshot") postCounted();
  else if (request.kind === "control") await gateway.control(request.action);
  else if (request.kind === "prepare") {
    const claim = new AbortController();
    claims.set(request.claim, claim);
    await prepare(request.what, claim.signal);
  }
}

function postCounted(): void {
  const all = takeSnapshot(gateway, start.worker);
  // Often, and from each worker: without what needs no telling.
  post({ kind: "counted", snapshot: { ...all, stats: withoutZeros(all.stats) } });
}

async function prepare(what: Preparation, signal: AbortSignal): Promise<void> {
  const { extensionConfigs, listeners } = gateway.preparers;
  if (what.kind === "port")
    await listeners?.({ ...what.listener, chains: [], defaultChain: undefined }, signal);
  else {
    const wasm = fromBinary(WasmSchema, what.wasm);
    await extensionConfigs?.({ kind: "wasm", name: what.name, config: wasm }, signal);
  }
}
