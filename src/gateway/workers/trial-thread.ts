import { parentPort, workerData } from "node:worker_threads";
import {
  attachStores,
  createLocalOutside,
  createPluginHost,
  type PluginOptions,
} from "../../proxy-wasm/index.ts";
import { createPluginWords } from "../plugin-words.ts";
import { startBeat } from "./beat.ts";
import type { MainMessage, WorkerMessage, WorkerStart } from "./messages.ts";
import { toWire } from "./wire-error.ts";

// The thread in which plugins are tried before the workers start them: one that never returns takes no connection with it.
// It loads the host and nothing else.

const start = workerData as WorkerStart;
const post = (message: WorkerMessage) => parentPort!.postMessage(message);
const beat = startBeat(start.beat, start.beatMs, (id, name) => post({ kind: "plugin", id, name }));
// What a plugin says here it says again in the workers.
const local = createLocalOutside({ stores: attachStores(start.stores) });
const { outside, words } = createPluginWords(local);
const host = createPluginHost(outside, { heartbeat: beat.guests });

parentPort!.on("message", (message: MainMessage) => {
  if (message.kind === "stop") process.exit();
  if (message.kind === "request" && message.request.kind === "check")
    answer(message.id, message.request.plugin);
});

function answer(id: number, plugin: PluginOptions): void {
  try {
    words.during(() => host.check(plugin));
    post({ kind: "answer", id });
  } catch (error) {
    post({ kind: "failure", id, error: toWire(error) });
  }
}
