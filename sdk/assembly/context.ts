import { proxy_done, proxy_set_effective_context, proxy_set_tick_period_milliseconds } from "./abi";
import { Action, PeerType, Status } from "./enums";
import { collectIfDue } from "./memory";
import { forgetLogLevel } from "./log-level";

/** One configured plugin in a VM (a root context): made at start and again for every new configuration. */
export abstract class PluginContext {
  /** The VM starts for this plugin; `vmConfiguration()` can be read. False keeps the plugin from starting. */
  onVmStart(size: u32): bool {
    return true;
  }

  /** Reads the configuration; false keeps the plugin from starting. */
  abstract configure(size: u32): bool;

  /** Makes the context of a new stream. */
  abstract createStream(): StreamContext;

  /** Called every tick period, when `setTickPeriod` has set one. */
  onTick(): void {}

  /** Something is in a queue that this plugin registered. */
  onQueueReady(queue: u32): void {}

  /** The proxy calls a function of the plugin by a number that both know; `foreignArguments()` is its argument. */
  onForeignFunction(id: u32, size: u32): void {}

  /** The plugin is to end. False holds the end up until `finishPlugin()`. */
  onDone(): bool {
    return true;
  }

  /** The last callback. */
  onDelete(): void {}
}

/** One stream in one plugin, as the proxy calls it: an HTTP request and its response, or a TCP connection. */
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

  /** A TCP connection was accepted. */
  onNewConnection(): Action {
    return Action.Continue;
  }

  /** `size` bytes from the client are in `downstreamData`. */
  onDownstreamData(size: u32, endOfStream: bool): Action {
    return Action.Continue;
  }

  /** `size` bytes from the upstream are in `upstreamData`. */
  onUpstreamData(size: u32, endOfStream: bool): Action {
    return Action.Continue;
  }

  onDownstreamClose(peer: PeerType): void {}

  onUpstreamClose(peer: PeerType): void {}

  /** The stream is complete; headers and properties can still be read. */
  onLog(): void {}

  /** The stream is over. */
  onDone(): void {}
}

/** Makes a plugin context. */
export type PluginFactory = () => PluginContext;

class Contexts {
  factory: PluginFactory | null = null;
  plugins: Map<u32, PluginContext> = new Map<u32, PluginContext>();
  streams: Map<u32, StreamContext> = new Map<u32, StreamContext>();
  /** The stream of the last callback, which is most often that of the next one. */
  last: StreamContext | null = null;
  lastId: u32 = 0;
}

const contexts = new Contexts();
/** The context whose callback runs. */
let current: u32 = 0;

/** Says which plugin this module is. Call it once, at the top level of the module. */
export function registerPlugin(factory: PluginFactory): void {
  contexts.factory = factory;
}

/** Id of the context whose callback runs, for `enterContext`. */
export function currentContext(): u32 {
  return current;
}

/**
 * Makes another context the one that hostcalls are about, until the callback returns: a stream that was paused and is to go
 * on from `onTick`, say. False when there is no such context any more.
 */
export function enterContext(id: u32): bool {
  if (id == current) return true;
  if (!contexts.streams.has(id) && !contexts.plugins.has(id)) return false;
  if (proxy_set_effective_context(id) != Status.Ok) return false;
  current = id;
  return true;
}

/** Calls `onTick` of the current plugin every so many milliseconds; 0 ends that. */
export function setTickPeriod(milliseconds: u32): bool {
  return proxy_set_tick_period_milliseconds(milliseconds) == Status.Ok;
}

/** Ends a plugin whose `onDone` held that up. */
export function finishPlugin(): bool {
  return proxy_done() == Status.Ok;
}

/** Makes the context `id`: a plugin without a parent, a stream with one. */
export function createContext(id: u32, parent: u32): void {
  begin(id);
  forgetLogLevel();
  if (parent != 0) {
    const stream = contexts.plugins.get(parent).createStream();
    contexts.streams.set(id, stream);
    contexts.last = stream;
    contexts.lastId = id;
    return;
  }
  const factory = contexts.factory;
  if (factory === null) throw new Error("the module does not call registerPlugin");
  contexts.plugins.set(id, factory());
}

/** Forgets a context. */
export function deleteContext(id: u32): void {
  collectIfDue();
  if (contexts.lastId == id) {
    contexts.last = null;
    contexts.lastId = 0;
  }
  if (contexts.streams.delete(id) || !contexts.plugins.has(id)) return;
  enterPlugin(id)!.onDelete();
  contexts.plugins.delete(id);
}

/** The plugin of a callback that begins; null when there is none of this id. */
export function enterPlugin(id: u32): PluginContext | null {
  begin(id);
  forgetLogLevel();
  return contexts.plugins.has(id) ? contexts.plugins.get(id) : null;
}

/** The stream of a callback that begins; null when there is none of this id. */
export function enterStream(id: u32): StreamContext | null {
  begin(id);
  if (id == contexts.lastId) return contexts.last;
  if (!contexts.streams.has(id)) return null;
  contexts.last = contexts.streams.get(id);
  contexts.lastId = id;
  return contexts.last;
}

function begin(id: u32): void {
  current = id;
  collectIfDue();
}
