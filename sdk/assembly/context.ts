import { Action } from "./enums";

/** One configured plugin in a VM (a root context): made at start and again for every new configuration. */
export abstract class PluginContext {
  /** Reads the configuration; false keeps the plugin from starting. */
  abstract configure(size: u32): bool;

  /** Makes the context of a new stream. */
  abstract createStream(): StreamContext;

  /** Called every tick period, when one is set. */
  onTick(): void {}
}

/** One stream in one plugin, as the proxy calls it. */
export abstract class StreamContext {
  onRequestHeaders(endOfStream: bool): Action {
    return Action.Continue;
  }

  onRequestBody(size: u32, endOfStream: bool): Action {
    return Action.Continue;
  }

  onRequestTrailers(): Action {
    return Action.Continue;
  }

  onResponseHeaders(endOfStream: bool): Action {
    return Action.Continue;
  }

  onResponseBody(size: u32, endOfStream: bool): Action {
    return Action.Continue;
  }

  onResponseTrailers(): Action {
    return Action.Continue;
  }

  /** The stream is complete; headers and properties can still be read. */
  onLog(): void {}
}

/** Makes a plugin context. */
export type PluginFactory = () => PluginContext;

class Contexts {
  factory: PluginFactory | null = null;
  plugins: Map<u32, PluginContext> = new Map<u32, PluginContext>();
  streams: Map<u32, StreamContext> = new Map<u32, StreamContext>();
}

const contexts = new Contexts();

/** Says which plugin this module is. Call it once, at the top level of the module. */
export function registerPlugin(factory: PluginFactory): void {
  contexts.factory = factory;
}

/** Makes the context `id`: a plugin without a parent, a stream with one. */
export function createContext(id: u32, parent: u32): void {
  if (parent != 0) {
    contexts.streams.set(id, contexts.plugins.get(parent).createStream());
    return;
  }
  const factory = contexts.factory;
  if (factory === null) throw new Error("the module does not call registerPlugin");
  contexts.plugins.set(id, factory());
}

/** Forgets a context. */
export function deleteContext(id: u32): void {
  if (!contexts.streams.delete(id)) contexts.plugins.delete(id);
}

export function findPlugin(id: u32): PluginContext | null {
  return contexts.plugins.has(id) ? contexts.plugins.get(id) : null;
}

export function findStream(id: u32): StreamContext | null {
  return contexts.streams.has(id) ? contexts.streams.get(id) : null;
}
