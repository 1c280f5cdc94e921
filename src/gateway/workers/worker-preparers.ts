import { fromBinary, toBinary } from "@bufbuild/protobuf";
import { WasmSchema } from "../../gen/envoy/extensions/filters/http/wasm/v3/wasm_pb.ts";
import { errorText, SystemError } from "../../system-error.ts";
import type { Listener } from "../gateway-config.ts";
import type { WasmFilterConfig } from "../plugin-registry.ts";
import type { Preparers } from "../prepare-updates.ts";
import { wasmConfigsOf, wasmOf } from "../stream-plans.ts";
import type { Preparation } from "./messages.ts";

/** Gets ready in all workers what resources bring. `prepare` does one thing of it. */
export function createWorkerPreparers(
  prepare: (what: Preparation, signal: AbortSignal) => Promise<void>,
): Preparers {
  return {
    extensionConfigs: (filter, signal) => prepareAll([...wasmOf(filter)].map(toPreparation), signal),
    listeners: (listener, signal) =>
      prepareAll([...[...wasmConfigsOf(listener)].map(toPreparation), ...portOf(listener)], signal),
  };

  /** Says of all that cannot be got ready why. */
  async function prepareAll(all: readonly Preparation[], signal: AbortSignal): Promise<void> {
    const done = await Promise.allSettled(all.map((what) => prepare(what, signal)));
    const reasons = done.flatMap((each) => (each.status === "rejected" ? [errorText(each.reason)] : []));
    if (reasons.length > 0) throw new SystemError("plugin-start", reasons.join("; "));
  }
}

function toPreparation({ name, config }: WasmFilterConfig): Preparation {
  return { kind: "plugin", name, wasm: toBinary(WasmSchema, config) };
}

function portOf({ chains: _, defaultChain: __, ...listener }: Listener): Preparation[] {
  return listener.bindsToPort ? [{ kind: "port", listener }] : [];
}

/** What the beat calls a plugin that is started. */
export function pluginOf(what: Preparation): string | undefined {
  if (what.kind !== "plugin") return undefined;
  return fromBinary(WasmSchema, what.wasm).config?.name || what.name;
}
