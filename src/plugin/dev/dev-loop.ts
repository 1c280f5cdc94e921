import { resolve } from "node:path";
import type { Log } from "../../log.ts";
import { coalesce, createWatchable, type Watchable } from "../../watchable.ts";
import type { PluginSource } from "../plugin-source.ts";
import { createCompileThread } from "./compile-thread.ts";
import { createDevPlugin, type DevPlugin } from "./dev-plugin.ts";
import type { DevModule } from "./dev-resources.ts";
import { createSpareWorker } from "./spare-worker.ts";
import { watchFolder } from "./watch-folder.ts";

export interface DevLoopOptions {
  readonly sources: readonly PluginSource[];
  /** Ours, not to be watched: modules are below it. */
  readonly dataDir: string;
  readonly swapAnyway: boolean;
  readonly limitMs: number;
  readonly print: (line: string) => void;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** A module that is to run from now on. */
export interface DevSwap {
  readonly plugin: DevPlugin;
  readonly url: string;
  /** When the first of the changes was seen that led to it, by `performance.now()`. */
  readonly savedAtMs: number;
  /** Aborts when a newer one is there. */
  readonly overtaken: AbortSignal;
}

/** Plugins that are being written, built and tested after each change. */
export interface DevLoop {
  /** The last good modules. */
  readonly modules: Watchable<readonly DevModule[]>;
  /** Each new one after the first, once `modules` has it. */
  readonly swaps: Watchable<DevSwap>;
}

/** Builds all plugins, and from then on each when something in its folder changes. Resolves after the first builds. */
export async function startDevLoop(options: DevLoopOptions): Promise<DevLoop> {
  const { sources, dataDir, signal, log } = options;
  const compiler = createCompileThread(signal);
  const spare = createSpareWorker(signal);
  const directory = resolve(dataDir, "dev");
  const modules = createWatchable<readonly DevModule[]>();
  const swaps = createWatchable<DevSwap>();
  const plugins = await Promise.all(
    sources.map((source) =>
      createDevPlugin({ ...options, source, compiler, directory, startWorker: spare.take }),
    ),
  );
  const publish = () =>
    modules.set(
      plugins.map(({ directory, repository, spec, url }) => ({ directory, repository, spec, url })),
    );
  const builds = plugins.map((plugin) => follow(plugin));
  await Promise.all(builds);
  publish();
  return { modules, swaps };

  /** Resolves after the first build. */
  function follow(plugin: DevPlugin): Promise<void> {
    let savedAtMs: number | undefined;
    let building = new AbortController();
    let swapped = new AbortController();
    const run = async () => {
      if (signal.aborted) return;
      building = new AbortController();
      const stop = AbortSignal.any([signal, building.signal]);
      const build = await plugin.build(stop);
      spare.prepare();
      if (stop.aborted || !modules.value) return;
      publish();
      const began = savedAtMs ?? performance.now();
      savedAtMs = undefined;
      if (!build) return;
      swapped.abort();
      swapped = new AbortController();
      swaps.set({ plugin, url: build.url, savedAtMs: began, overtaken: swapped.signal });
    };
    const trigger = coalesce(run);
    const onChange = () => {
      savedAtMs ??= performance.now();
      // What is built now is out of date already.
      building.abort();
      trigger();
    };
    watchFolder(resolve(plugin.directory), { onChange, except: resolve(dataDir), signal, log });
    return run();
  }
}
