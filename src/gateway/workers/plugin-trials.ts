import { errorText, SystemError } from "../../system-error.ts";
import type { ModuleSource } from "../module-files.ts";
import type { WasmFilterConfig } from "../plugin-registry.ts";
import { pluginOptions } from "../wasm-options.ts";
import type { WorkerSlots } from "./worker-slots.ts";
import { WorkerEnded } from "./worker-thread.ts";

/** How often a plugin is tried when its thread ends while another is. */
const maxAttempts = 3;

/**
 * Starts a plugin in the thread for trials and drops it there.
 * @throws SystemError as the registry of plugins does; `plugin-start` also for one that never returns
 */
export async function tryInThread(
  { name: place, config: { config } }: WasmFilterConfig,
  modules: ModuleSource,
  trials: WorkerSlots,
): Promise<void> {
  const name = config!.name || place;
  try {
    const plugin = { ...pluginOptions(place, config!), module: await modules.load(config!, name) };
    for (let attempt = 1; ; attempt++) {
      const thread = await trials.any();
      const ended = await thread.request({ kind: "check", plugin }).then(() => undefined, endOf);
      if (!ended) return;
      if (ended.plugin === name || attempt === maxAttempts) throw ended;
    }
  } catch (error) {
    const code = error instanceof SystemError ? error.code : "plugin-start";
    throw new SystemError(code, `Unable to create Wasm plugin ${name}: ${errorText(error)}`, error);
  }
}

function endOf(error: unknown): WorkerEnded {
  if (error instanceof WorkerEnded) return error;
  throw error;
}
