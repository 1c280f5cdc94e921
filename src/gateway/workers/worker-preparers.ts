import { toBinary } from "@bufbuild/protobuf";
import { WasmSchema } from "../../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { errorText, SystemError } from "../../system-error.ts";
import type { Listener } from "../gateway-config.ts";
import type { WasmFilterConfig } from "../plugin-registry.ts";
import type { Preparers } from "../prepare-updates.ts";
import { wasmConfigsOf, wasmOf } from "../stream-plans.ts";
import type { Preparation } from "./messages.ts";

export interface WorkerPreparersOptions {
  /** Sees that a plugin starts, where that can do no harm. */
  tryPlugin(config: WasmFilterConfig): Promise<void>;
  /** Gets one thing ready in all workers. */
  prepare(what: Preparation, signal: AbortSignal): Promise<void>;
}

/** Gets ready in all workers what resources bring. */
export function createWorkerPreparers({ tryPlugin, prepare }: WorkerPreparersOptions): Preparers {
  return {
    extensionConfigs: (filter, signal) => all([...wasmOf(filter)].map((config) => start(config, signal))),
    listeners: (listener, signal) =>
      all([
        ...[...wasmConfigsOf(listener)].map((config) => start(config, signal)),
        ...portsOf(listener).map((what) => prepare(what, signal)),
      ]),
  };

  async function start(config: WasmFilterConfig, signal: AbortSignal): Promise<void> {
    await tryPlugin(config);
    const wasm = toBinary(WasmSchema, config.config);
    await prepare({ kind: "plugin", name: config.name, wasm }, signal);
  }
}

/** Says of all that cannot be got ready why. */
async function all(begun: readonly Promise<void>[]): Promise<void> {
  const done = await Promise.allSettled(begun);
  const reasons = done.flatMap((each) => (each.status === "rejected" ? [errorText(each.reason)] : []));
  if (reasons.length > 0) throw new SystemError("plugin-start", reasons.join("; "));
}

function portsOf({ chains: _, defaultChain: __, ...listener }: Listener): Preparation[] {
  return listener.bindsToPort ? [{ kind: "port", listener }] : [];
}
