import { toBinary } from "@bufbuild/protobuf";
import { PluginConfigSchema } from "../../gen/envoy/extensions/wasm/v3/wasm_pb.ts";
import type { PluginModule } from "../../proxy-wasm/index.ts";
import type { ModuleSource } from "../module-files.ts";
import type { WireError, WorkerMessage } from "./messages.ts";
import { fromWire } from "./wire-error.ts";

interface Waiting {
  resolve(module: PluginModule): void;
  reject(error: Error): void;
}

/** Modules that the main thread compiles. */
export interface MainModules extends ModuleSource {
  onModule(id: number, module: PluginModule): void;
  onNoModule(id: number, error: WireError): void;
}

export function createMainModules(post: (message: WorkerMessage) => void): MainModules {
  const waiting = new Map<number, Waiting>();
  let lastId = 0;
  const take = (id: number) => {
    const found = waiting.get(id);
    waiting.delete(id);
    return found;
  };
  return {
    load(config, name) {
      const id = ++lastId;
      post({ kind: "compile", id, name, config: toBinary(PluginConfigSchema, config) });
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    keep() {},
    onModule: (id, module) => take(id)?.resolve(module),
    onNoModule: (id, error) => take(id)?.reject(fromWire(error)),
  };
}
