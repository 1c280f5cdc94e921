import type { Log } from "../../log.ts";
import type { LogLevel, PluginModule, PluginOptions, SharedStoresToken } from "../../proxy-wasm/index.ts";
import type { Recording, RecordingWish } from "../../proxy-wasm/recording.ts";
import type { ConfigUpdate } from "../apply-response.ts";
import type { GatewayAction } from "../gateway.ts";
import type { Listener } from "../gateway-config.ts";
import type { GatewaySnapshot } from "../gateway-snapshot.ts";

/** What a worker begins with. */
export interface WorkerStart {
  readonly stores: SharedStoresToken;
  /** Shows the main thread that the worker's event loop turns, and which plugin runs. */
  readonly beat: SharedArrayBuffer;
  readonly beatMs: number;
  readonly pluginLogLevel: LogLevel | undefined;
  readonly drainMs: number | undefined;
  /** Of each listener, in this worker. */
  readonly maxConnections: number | undefined;
  /** Its number among the workers. */
  readonly worker: number;
}

/** What the main thread asks for. */
export type WorkerRequest =
  /** The answer comes when all of it is in effect. */
  | { readonly kind: "apply"; readonly updates: readonly ConfigUpdate[] }
  /** Gets ready what a configuration will bring, and holds it until the claim is released. */
  | { readonly kind: "prepare"; readonly claim: number; readonly what: Preparation }
  /** Sees, in the thread for trials, that a plugin starts. */
  | { readonly kind: "check"; readonly plugin: PluginOptions }
  | { readonly kind: "control"; readonly action: GatewayAction }
  | { readonly kind: "snapshot" }
  /** The answer comes when a request was recorded. */
  | { readonly kind: "record"; readonly wish: RecordingWish };

export type Preparation =
  /** A plugin that runs; `wasm` is the encoded filter. */
  | { readonly kind: "plugin"; readonly name: string; readonly wasm: Uint8Array }
  /** A port that is open. */
  | { readonly kind: "port"; readonly listener: Omit<Listener, "chains" | "defaultChain"> };

export type MainMessage =
  | { readonly kind: "request"; readonly id: number; readonly request: WorkerRequest }
  | { readonly kind: "module"; readonly id: number; readonly module: PluginModule }
  | { readonly kind: "no-module"; readonly id: number; readonly error: WireError }
  | { readonly kind: "release"; readonly claim: number }
  /** Takes a wish for a recording back, by the number of its request. */
  | { readonly kind: "disarm"; readonly id: number }
  /** No new connections; the worker ends when its last one has. */
  | { readonly kind: "stop" };

export type WorkerMessage =
  | { readonly kind: "answer"; readonly id: number }
  | { readonly kind: "failure"; readonly id: number; readonly error: WireError }
  | { readonly kind: "recorded"; readonly id: number; readonly recording: Recording }
  /** The main thread compiles modules, once for all. `config` is the encoded `PluginConfig`. */
  | { readonly kind: "compile"; readonly id: number; readonly name: string; readonly config: Uint8Array }
  | { readonly kind: "log"; readonly level: LogMethod; readonly fields: object; readonly message: string }
  | { readonly kind: "trap"; readonly plugin: string; readonly reason: string }
  /** The plugin that a number in the beat stands for. */
  | { readonly kind: "plugin"; readonly id: number; readonly name: string }
  /** What it has open, after a change. */
  | { readonly kind: "open"; readonly listeners: GatewaySnapshot["listeners"] }
  /** What it has counted: before the answer, or before it ends. */
  | { readonly kind: "counted"; readonly snapshot: GatewaySnapshot };

export type LogMethod = Exclude<keyof Log, "child">;

/** An error on its way to another thread. */
export interface WireError {
  readonly code: string;
  readonly message: string;
}
